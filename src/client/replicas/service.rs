//! The gRPC client of a replica.

use tonic::{Request, Response, Status, Streaming, transport::Channel};

use crate::{
    client::{Error, failure::Failure, token::Token},
    proto::{FetchBatchRequest, FetchBatchResponse, fetch_service_client::FetchServiceClient},
};

/// A gRPC client that sends a token with each call, if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    client: FetchServiceClient<Channel>,
    token: Option<Token>,
}

impl Service {
    pub(crate) fn new(channel: Channel, token: Option<Token>) -> Self {
        let client = FetchServiceClient::new(channel);
        Self { client, token }
    }

    /// Makes a call and waits for its response to begin.
    pub(crate) async fn fetch_batch(
        &mut self,
        message: FetchBatchRequest,
    ) -> Result<Streaming<FetchBatchResponse>, Failure> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let authorized = token.authorize(&mut request);
            authorized.map_err(|invalid| Failure::refused(invalid.into()))?;
        }
        let response = self.client.fetch_batch(request).await;
        response
            .map(Response::into_inner)
            .map_err(|status| self.failure(&status))
    }

    fn failure(&self, status: &Status) -> Failure {
        let mut failure = Failure::before_response(status);
        if self.token.is_none()
            && status.code() == tonic::Code::Unauthenticated
            && let Error::Call { message, .. } = &mut failure.error
        {
            message.push_str(" (this client has no token)");
        }
        failure
    }
}
