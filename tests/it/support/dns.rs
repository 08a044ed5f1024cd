//! A name server of the tests' own.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::CNAME},
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// What is answered to a question.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Addresses(Vec<IpAddr>),
    /// Addresses that may be kept no longer than this answer.
    Fleeting(Vec<IpAddr>),
    /// Addresses of the last of these names, each the alias of the one before.
    Alias(Vec<&'static str>, Vec<IpAddr>),
    /// Addresses of IPv4, and silence where IPv6 is asked for.
    OnlyV4(Vec<IpAddr>),
    /// The same the other way round.
    OnlyV6(Vec<IpAddr>),
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
        Self::at("127.0.0.1:0", answer).await
    }

    /// The same, at a place of its own.
    pub(crate) async fn at(
        address: &str,
        answer: impl Fn(&str) -> Answer + Send + 'static,
    ) -> Self {
        let socket = Arc::new(UdpSocket::bind(address).await.unwrap());
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
    let mut add = |name: Name, ttl, data| {
        message.add_answer(Record::from_rdata(name, ttl, data));
    };
    let own = query.name().clone();
    match answer(name.trim_end_matches('.')) {
        Answer::Silence => return None,
        Answer::OnlyV4(_) if query.query_type() == RecordType::AAAA => return None,
        Answer::OnlyV6(_) if query.query_type() == RecordType::A => return None,
        Answer::Code(code) => message.metadata.response_code = code,
        Answer::Addresses(addresses) | Answer::OnlyV4(addresses) | Answer::OnlyV6(addresses) => {
            let data = addresses
                .into_iter()
                .filter_map(|address| of_type(&query, address));
            data.for_each(|data| add(own.clone(), 60, data));
        }
        Answer::Fleeting(addresses) => {
            let data = addresses
                .into_iter()
                .filter_map(|address| of_type(&query, address));
            data.for_each(|data| add(own.clone(), 0, data));
        }
        Answer::Alias(names, addresses) => {
            let mut last = own;
            for name in names {
                let name = Name::from_ascii(format!("{name}.")).unwrap();
                add(last, 60, RData::CNAME(CNAME(name.clone())));
                last = name;
            }
            let data = addresses
                .into_iter()
                .filter_map(|address| of_type(&query, address));
            data.for_each(|data| add(last.clone(), 60, data));
        }
    }
    Some(message)
}

/// The address, where it is of the type that was asked for.
fn of_type(query: &Query, address: IpAddr) -> Option<RData> {
    match (query.query_type(), address) {
        (RecordType::A, IpAddr::V4(address)) => Some(RData::A(address.into())),
        (RecordType::AAAA, IpAddr::V6(address)) => Some(RData::AAAA(address.into())),
        _ => None,
    }
}
