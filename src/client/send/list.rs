//! Sends request lists.

use std::{sync::Arc, time::Duration};

use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream, SelectAll},
};

use super::{
    PauseFlag, Source,
    buffer::OutcomeBuffer,
    call::{Call, CallEvent},
    deadline::Deadline,
    intake::{Intake, Numbered},
    queue::fits_one_call,
    queues::ReplicaQueues,
    resend::Resend,
};
use crate::client::{
    Error, Outcome,
    failure::{Disposition, Failure},
    pending::Pending,
    replicas::{Monitor, Replica, Replicas, SharedOutage, sleep_until},
};

/// Settings for a list.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ListSettings {
    /// Max number of requests in flight. 0 means the service's default.
    pub(crate) concurrency: u32,
    pub(crate) timeout: Option<Duration>,
}

/// Sends a list of requests to the replicas. This takes as many calls as necessary, and
/// if requests get lost we send them again, until each has an outcome.
pub(crate) struct ListSender {
    intake: Intake,
    queues: ReplicaQueues,
    calls: SelectAll<BoxStream<'static, (Arc<Replica>, CallEvent)>>,
    outcomes: OutcomeBuffer,
    monitor: Monitor,
    deadline: Deadline,
}

impl ListSender {
    /// Creates the sender for `source`. Note that the list timeout starts here.
    pub(crate) fn new(
        replicas: Arc<Replicas>,
        source: Source,
        settings: ListSettings,
        pause: Arc<PauseFlag>,
        outage: SharedOutage,
    ) -> Self {
        let (requests, is_single_call) = match source {
            Source::List(list) => {
                let is_single_call = replicas.count() == 1 && fits_one_call(&list);
                (stream::iter(list).boxed(), is_single_call)
            }
            Source::Stream(requests) => (requests, false),
        };
        Self {
            intake: Intake::new(requests, pause),
            queues: ReplicaQueues::new(Arc::clone(&replicas), settings.concurrency, is_single_call),
            calls: SelectAll::new(),
            outcomes: OutcomeBuffer::default(),
            monitor: Monitor::new(replicas, outage),
            deadline: Deadline::after(settings.timeout),
        }
    }

    /// Returns outcomes as they arrive. Dropping the stream cancels the remaining
    /// requests.
    pub(crate) fn outcomes(self) -> impl Stream<Item = Outcome> + Send {
        stream::unfold(self, |mut sender| async move {
            let outcome = sender.next().await?;
            Some((outcome, sender))
        })
    }

    async fn next(&mut self) -> Option<Outcome> {
        loop {
            if let Some(outcome) = self.outcomes.pop() {
                return Some(outcome);
            }
            self.monitor.begin_turn(self.outcomes.is_complete());
            for pending in self.queues.take_unassigned() {
                self.assign(pending);
            }
            let intake_is_idle = self.take_ready_requests();
            self.make_calls(intake_is_idle);
            if self.outcomes.has_ready() {
                continue;
            }
            if self.is_done() {
                return None;
            }
            self.wait().await;
        }
    }

    /// Waits for something to happen, then handles it.
    async fn wait(&mut self) {
        let has_room = self.has_room();
        let is_open = !self.outcomes.is_complete();
        // Past the deadline, the services end their requests themselves and tell us.
        // Give them a little longer to do so.
        let end_of_grace = self.deadline.end_of_grace().filter(|_| is_open);
        if is_open {
            self.monitor.note_outage();
        }
        let outage_end = self.monitor.outage_end();
        let deadline = self.deadline.at().filter(|_| self.queues.has_unassigned());
        tokio::select! {
            biased;
            () = self.monitor.changed() => {}
            () = sleep_until(end_of_grace) => self.fail_all(&Deadline::error()),
            () = outage_end, if is_open => {
                let error = self.monitor.give_up();
                self.fail_all(&error);
            }
            event = self.calls.next(), if !self.calls.is_empty() => {
                if let Some((replica, event)) = event {
                    self.handle(&replica, event);
                }
            }
            request = self.intake.next(has_room) => {
                if let Some(request) = request {
                    self.accept(request);
                }
            }
            () = sleep_until(deadline) => {}
        }
    }

    fn is_done(&self) -> bool {
        self.intake.has_ended() && self.calls.is_empty() && !self.queues.has_unassigned()
    }

    fn has_room(&self) -> bool {
        self.outcomes.has_room() && self.queues.has_room()
    }

    /// Takes requests as long as we have room and don't have to wait for them. Returns
    /// true if the intake has no more at the moment.
    fn take_ready_requests(&mut self) -> bool {
        while self.has_room() {
            match self.intake.take_ready() {
                Some(request) => self.accept(request),
                None => return true,
            }
        }
        !self.intake.is_open()
    }

    fn accept(&mut self, Numbered { position, request }: Numbered) {
        self.outcomes.open(position);
        let message = match self.monitor.unavailable() {
            Some(error) => Err(error.clone()),
            None => request.into_message(),
        };
        match message {
            Ok(message) => self.assign(Pending::new(position, message)),
            Err(error) => self.outcomes.finish(Outcome::failed(position, error)),
        }
    }

    fn assign(&mut self, pending: Pending) {
        if self.deadline.has_passed() {
            let late = Outcome::failed(pending.position, Deadline::error());
            self.outcomes.finish(late);
        } else {
            self.queues.assign(pending);
        }
    }

    /// Makes all calls that are worth making now (see `ReplicaQueues::next_call`).
    fn make_calls(&mut self, intake_is_idle: bool) {
        let replicas = self.monitor.replicas();
        let admitted = replicas.admitted();
        for replica in &admitted {
            while let Some(next) =
                self.queues
                    .next_call(replica.name(), admitted.len(), intake_is_idle)
            {
                let call = Call::to(replica, next, self.deadline, replicas);
                let replica = Arc::clone(replica);
                let events = call.events();
                let events = events.map(move |event| (Arc::clone(&replica), event));
                self.calls.push(events.boxed());
            }
        }
        self.queues.unassign_ejected();
    }

    fn handle(&mut self, replica: &Arc<Replica>, event: CallEvent) {
        match event {
            CallEvent::Alive => self.monitor.record_answer(),
            CallEvent::Outcome {
                pending,
                outcome,
                frees_slot,
            } => {
                self.monitor.record_answer();
                self.queues
                    .record_outcome(replica.name(), outcome.body_bytes(), frees_slot);
                self.finish(replica, pending, *outcome);
            }
            CallEvent::Ended {
                lost,
                slots,
                failure,
            } => {
                self.queues.record_end(replica.name(), lost.len(), slots);
                if let Some(failure) = failure {
                    self.resend(replica, lost, &failure.at(replica.name()));
                }
            }
        }
    }

    /// Returns `outcome` to the caller, unless we may send the request again.
    fn finish(&mut self, replica: &Arc<Replica>, mut pending: Pending, outcome: Outcome) {
        let disposition = outcome.disposition();
        if disposition == Disposition::Final {
            replica.record_success();
            self.outcomes.finish(outcome);
            return;
        }
        let resend = Resend::after(self.monitor.replicas(), replica, disposition);
        if resend.allows(&mut pending) {
            self.queues.push_unassigned(pending);
        } else {
            self.outcomes.finish(outcome);
        }
    }

    /// Handles the requests of a failed call. If we may send a request again, we do. If
    /// not, it ends with the call's error.
    fn resend(&mut self, replica: &Arc<Replica>, lost: Vec<Pending>, failure: &Failure) {
        self.monitor.record_failure(failure);
        let resend = Resend::after(self.monitor.replicas(), replica, failure.disposition);
        for mut pending in lost {
            if resend.allows(&mut pending) {
                self.queues.push_unassigned(pending);
            } else {
                let outcome = Outcome::failed(pending.position, failure.final_error());
                self.outcomes.finish(outcome);
            }
        }
    }

    /// Cancels all calls and fails all requests with `error`.
    fn fail_all(&mut self, error: &Error) {
        self.calls.clear();
        for pending in self.queues.take_unsent() {
            let outcome = Outcome::failed(pending.position, error.clone());
            self.outcomes.finish(outcome);
        }
        // All others are in a call, and no replica has told us how far they got.
        self.outcomes.fail_all(&error.clone().maybe_dispatched());
    }
}
