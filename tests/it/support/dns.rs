//! A scripted DNS server.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::CNAME},
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// How to answer a query.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Addresses(Vec<IpAddr>),
    /// Addresses that must not be cached, since their TTL is zero.
    Uncacheable(Vec<IpAddr>),
    /// A chain of CNAME records through all of these names. The addresses are those of
    /// the last name.
    Alias(Vec<&'static str>, Vec<IpAddr>),
    /// IPv4 addresses. There's no reply to IPv6 queries at all.
    OnlyV4(Vec<IpAddr>),
    /// IPv6 addresses. There's no reply to IPv4 queries at all.
    OnlyV6(Vec<IpAddr>),
    Code(ResponseCode),
    /// The addresses, but only after this time.
    Late(Duration, Vec<IpAddr>),
    /// The addresses, as those of another name.
    OfOther(&'static str, Vec<IpAddr>),
    /// An answer that's been cut. There's no TCP server that has the rest.
    Truncated,
    /// The ID of the query, followed by these bytes.
    Bytes(&'static [u8]),
    NoReply,
}

/// A running DNS server. Dropping it stops the server.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    answering: JoinHandle<()>,
}

impl Dns {
    /// Starts a server on some free port. Names are passed to `answer` without the
    /// trailing dot.
    pub(crate) async fn new(answer: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        Self::at("127.0.0.1:0", answer).await
    }

    /// Starts a server at `address`.
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
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let name = query.queries.first().unwrap().name().to_ascii();
                let answer = answer(name.trim_end_matches('.'));
                let delay = match answer {
                    Answer::Late(delay, _) => delay,
                    _ => Duration::ZERO,
                };
                let Some(bytes) = respond(&query, answer) else {
                    continue;
                };
                let socket = Arc::clone(&socket);
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    socket.send_to(&bytes, from).await.unwrap();
                });
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

/// Returns the response to `request`, or `None` if there shouldn't be one.
fn respond(request: &Message, answer: Answer) -> Option<Vec<u8>> {
    let mut query = request.queries.first().unwrap().clone();
    if let Answer::OfOther(name, _) = answer {
        query.set_name(Name::from_ascii(format!("{name}.")).unwrap());
    }
    let mut message = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_available = true;
    message.add_query(query.clone());
    let mut add = |name: Name, ttl, data| {
        message.add_answer(Record::from_rdata(name, ttl, data));
    };
    let queried = query.name().clone();
    match answer {
        Answer::Bytes(bytes) => {
            let id = request.metadata.id.to_be_bytes();
            return Some([&id[..], bytes].concat());
        }
        Answer::Truncated => message.metadata.truncation = true,
        Answer::NoReply => return None,
        Answer::OnlyV4(_) if query.query_type() == RecordType::AAAA => return None,
        Answer::OnlyV6(_) if query.query_type() == RecordType::A => return None,
        Answer::Code(code) => message.metadata.response_code = code,
        Answer::Addresses(addresses)
        | Answer::OnlyV4(addresses)
        | Answer::OnlyV6(addresses)
        | Answer::Late(_, addresses)
        | Answer::OfOther(_, addresses) => {
            let data = addresses
                .into_iter()
                .filter_map(|address| of_type(&query, address));
            data.for_each(|data| add(queried.clone(), 60, data));
        }
        Answer::Uncacheable(addresses) => {
            let data = addresses
                .into_iter()
                .filter_map(|address| of_type(&query, address));
            data.for_each(|data| add(queried.clone(), 0, data));
        }
        Answer::Alias(names, addresses) => {
            let mut last = queried;
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
    Some(message.to_vec().unwrap())
}

/// Returns a record for `address`, if that's the type the query is asking for.
fn of_type(query: &Query, address: IpAddr) -> Option<RData> {
    match (query.query_type(), address) {
        (RecordType::A, IpAddr::V4(address)) => Some(RData::A(address.into())),
        (RecordType::AAAA, IpAddr::V6(address)) => Some(RData::AAAA(address.into())),
        _ => None,
    }
}
