use std::{collections::BTreeSet, time::Duration};

use http::{Uri, Version};

use super::*;
use crate::response::Headers;

const METHODS: [(&str, bool); 9] = [
    ("GET", true),
    ("HEAD", true),
    ("OPTIONS", true),
    ("TRACE", true),
    ("PUT", true),
    ("DELETE", true),
    ("POST", false),
    ("PATCH", false),
    ("PURGE", false),
];

/// A policy that always waits for half of the longest delay.
fn policy() -> Policy {
    Policy {
        budgets: Budgets::new(),
        random: || 0.5,
    }
}

fn request(method: &str) -> Request {
    Request::new("http://example.com/", method).unwrap()
}

fn head(status: u16, headers: Headers) -> Head {
    Head {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        url: Uri::from_static("http://example.com/"),
        version: Version::HTTP_11,
    }
}

fn error(reason: Reason) -> FetchError {
    FetchError::new(reason, "failed")
}

fn first_attempt<'a>(request: &'a Request, budget: &'a Budget) -> Attempt<'a> {
    Attempt {
        request,
        number: 1,
        redirects: 0,
        has_sent_part: false,
        is_resent: false,
        deadline: Instant::now() + Duration::from_secs(30),
        budget,
    }
}

/// Returns the decision after a first attempt. `change` may adjust the attempt
/// beforehand.
fn decide(
    method: &str,
    result: AttemptResult<'_>,
    change: impl FnOnce(&mut Attempt<'_>),
) -> Option<(Duration, String)> {
    let (policy, request) = (policy(), request(method));
    let budget = policy.budget(Caller::at(None), &request);
    let mut attempt = first_attempt(&request, &budget);
    change(&mut attempt);
    match policy.decide(&attempt, result) {
        Verdict::Retry { after, cause } => Some((after, cause.label().to_owned())),
        Verdict::Resend => Some((Duration::ZERO, "resend".to_owned())),
        Verdict::Done => None,
    }
}

fn retries_error(method: &str, error: &FetchError, redirects: u32) -> bool {
    let change = |attempt: &mut Attempt<'_>| attempt.redirects = redirects;
    decide(method, AttemptResult::Failed(error), change).is_some()
}

fn retries_status(method: &str, status: u16) -> bool {
    let head = head(status, Headers::default());
    decide(method, AttemptResult::Head(&head), |_| ()).is_some()
}

#[tokio::test(start_paused = true)]
async fn only_idempotent_requests_are_retried_once_written() {
    let disconnected = error(Reason::Disconnected);
    for (method, is_idempotent) in METHODS {
        let is_retried = retries_error(method, &disconnected, 0);
        assert_eq!(is_retried, is_idempotent, "{method}");
        assert_eq!(retries_status(method, 502), is_idempotent, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn unwritten_requests_are_retried_whatever_their_method() {
    for reason in [Reason::Dns, Reason::Connect, Reason::Tls] {
        let error = error(reason);
        for (method, is_idempotent) in METHODS {
            assert!(retries_error(method, &error, 0), "{method}: {reason}");
            // This time another origin has received the request before.
            assert_eq!(retries_error(method, &error, 1), is_idempotent, "{method}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn permanent_errors_are_not_retried() {
    assert!(!retries_error("GET", &error(Reason::Dns).permanent(), 0));
    assert!(!retries_error("GET", &error(Reason::Protocol), 0));
}

#[tokio::test(start_paused = true)]
async fn five_statuses_are_retried() {
    let retried: Vec<_> = (100..600)
        .filter(|code| retries_status("GET", *code))
        .collect();
    assert_eq!(retried, [408, 429, 502, 503, 504]);
}

#[tokio::test(start_paused = true)]
async fn cause_is_the_reason_or_the_status() {
    let error = error(Reason::Disconnected);
    let (_, cause) = decide("GET", AttemptResult::Failed(&error), |_| ()).unwrap();
    assert_eq!(cause, "disconnected");
    let head = head(503, Headers::default());
    let (_, cause) = decide("GET", AttemptResult::Head(&head), |_| ()).unwrap();
    assert_eq!(cause, "503");
}

#[tokio::test(start_paused = true)]
async fn request_is_not_retried_after_its_last_attempt_or_first_part() {
    let error = error(Reason::Disconnected);
    let failed = AttemptResult::Failed(&error);
    let second = decide("GET", failed, |attempt| attempt.number = 2);
    assert_eq!(second.unwrap().0, Duration::from_millis(200));
    assert!(decide("GET", failed, |attempt| attempt.number = 3).is_none());
    assert!(decide("GET", failed, |attempt| attempt.has_sent_part = true).is_none());
}

#[tokio::test(start_paused = true)]
async fn ambiguous_response_is_resent_once() {
    let resend = |method, change: fn(&mut Attempt<'_>)| {
        decide(method, AttemptResult::Ambiguous, change).is_some_and(|(_, cause)| cause == "resend")
    };
    for (method, is_idempotent) in METHODS {
        assert_eq!(resend(method, |_| ()), is_idempotent, "{method}");
        assert!(!resend(method, |attempt| attempt.is_resent = true));
        assert!(!resend(method, |attempt| attempt.has_sent_part = true));
        // Resending doesn't count as another attempt.
        assert_eq!(resend(method, |attempt| attempt.number = 3), is_idempotent);
    }
}

#[tokio::test(start_paused = true)]
async fn all_causes_are_known() {
    let errors = Reason::ALL.map(error);
    let of_errors = errors.iter().map(AttemptResult::Failed);
    let heads: Vec<_> = (100..1000)
        .map(|status| head(status, Headers::default()))
        .collect();
    let of_heads = heads.iter().map(AttemptResult::Head);
    let causes = of_errors.chain(of_heads).filter_map(|result| {
        let (_, cause) = decide("GET", result, |_| ())?;
        Some(cause)
    });
    let causes: BTreeSet<_> = causes.collect();
    // The batch ends with these, so they're never the result of an attempt.
    let of_batches = ["batch_deadline", "shutting_down"];
    let expected = RetryCause::LABELS.into_iter().chain(of_batches);
    assert_eq!(causes, expected.map(str::to_owned).collect());
}

#[tokio::test(start_paused = true)]
async fn delay_must_end_before_the_timeout() {
    let delay = |retry_after: &[(&str, &str)], remaining: Duration| {
        let mut headers = Headers::default();
        for (name, value) in retry_after {
            headers.push(name, value.bytes());
        }
        let head = head(503, headers);
        let change = |attempt: &mut Attempt<'_>| attempt.deadline = Instant::now() + remaining;
        decide("GET", AttemptResult::Head(&head), change).map(|(after, _)| after)
    };
    let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
    let long = Duration::from_mins(10);
    let backoff = Duration::from_millis(100);
    assert_eq!(delay(&[], second), Some(backoff));
    assert_eq!(delay(&[], backoff), None);
    assert_eq!(delay(&[("retry-after", "60")], long), Some(minute));
    assert_eq!(delay(&[("retry-after", "60")], minute), None);
    assert_eq!(delay(&[("retry-after", "61")], long), None);
}

#[tokio::test(start_paused = true)]
async fn only_retries_are_withdrawn_from_the_budget() {
    let (policy, request) = (policy(), request("GET"));
    let budget = policy.budget(Caller::at(None), &request);
    let error = error(Reason::Disconnected);
    let result = AttemptResult::Failed(&error);
    let attempt = first_attempt(&request, &budget);
    let late = Attempt {
        deadline: Instant::now(),
        ..attempt
    };
    for _ in 0..1000 {
        assert!(matches!(policy.decide(&late, result), Verdict::Done));
    }
    let is_retried = |_: &i32| matches!(policy.decide(&attempt, result), Verdict::Retry { .. });
    let retries = (0..1000).take_while(is_retried).count();
    assert!((90..=110).contains(&retries), "{retries}");
}
