//! A name server of the tests' own.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{RData, Record, RecordType},
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// What is answered to a question.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Addresses(Vec<IpAddr>),
    Code(ResponseCode),
    Silence,
}

/// A running name server.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    answering: JoinHandle<()>,
}

impl Dns {
    /// Answers each question, a name without its last dot, with what `answer`
    /// gives.
    pub(crate) async fn new(answer: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                if let Some(answer) = answered(&question, &answer) {
                    socket
                        .send_to(&answer.to_vec().unwrap(), from)
                        .await
                        .unwrap();
                }
            }
        });
        Self { address, answering }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

fn answered(question: &Message, answer: &impl Fn(&str) -> Answer) -> Option<Message> {
    let query = question.queries.first().unwrap().clone();
    let name = query.name().to_ascii();
    let mut message = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_available = true;
    message.add_query(query.clone());
    match answer(name.trim_end_matches('.')) {
        Answer::Silence => return None,
        Answer::Code(code) => message.metadata.response_code = code,
        Answer::Addresses(addresses) => {
            for address in addresses {
                let data = match (query.query_type(), address) {
                    (RecordType::A, IpAddr::V4(address)) => RData::A(address.into()),
                    (RecordType::AAAA, IpAddr::V6(address)) => RData::AAAA(address.into()),
                    _ => continue,
                };
                message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
        }
    }
    Some(message)
}
