//! The kinds of fetches, and how many there are of each.

use std::sync::LazyLock;

use fetchd::client::Request;

use crate::origin::Origins;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Small,
    Post,
    Chunked,
    Gzip,
    Redirect,
    Large,
    Slow,
    Busy,
    Reset,
    Empty,
    Cut,
    Garbage,
    Refused,
    /// A large body that isn't read in time. It's not part of the mix.
    Unread,
}

/// How many of 1,000 fetches are of each kind.
const MIX: [(Kind, usize); 13] = [
    (Kind::Small, 730),
    (Kind::Post, 60),
    (Kind::Chunked, 50),
    (Kind::Gzip, 50),
    (Kind::Redirect, 40),
    (Kind::Large, 10),
    (Kind::Slow, 10),
    (Kind::Busy, 10),
    (Kind::Reset, 8),
    (Kind::Empty, 8),
    (Kind::Cut, 7),
    (Kind::Garbage, 7),
    (Kind::Refused, 10),
];

/// All kinds in their numbers, in a mixed order.
static ORDER: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kinds = MIX.iter().flat_map(|(kind, count)| [*kind].repeat(*count));
    let kinds: Vec<Kind> = kinds.collect();
    // 619 has no common factor with 1,000, so each is taken once.
    let positions = (0..kinds.len()).map(|index| index * 619 % kinds.len());
    positions.map(|position| kinds[position]).collect()
});

impl Kind {
    /// Returns the kind of the fetch at `position` of an endless sequence.
    pub(crate) fn at(position: usize) -> Self {
        ORDER[position % ORDER.len()]
    }

    /// Returns the request of the fetch at `position`.
    pub(crate) fn request(self, origins: &Origins, position: usize) -> Request {
        match self {
            Self::Post => Request::post(origins.url(position, self.path()), vec![b'p'; 1 << 10]),
            // The client would send a GET again if the service aborts its call.
            Self::Unread => Request::post(origins.url(position, Self::Large.path()), ""),
            Self::Busy => Request::get(origins.faulty_url(self.path())).max_attempts(2),
            Self::Reset | Self::Empty | Self::Cut | Self::Garbage => {
                Request::get(origins.faulty_url(self.path())).max_attempts(1)
            }
            Self::Refused => {
                // Nobody listens at port 1, and 127.0.0.0/8 has 16 million addresses.
                let [a, b, c, _] = (position as u32).to_le_bytes();
                Request::get(format!("http://127.{c}.{b}.{a}:1/")).max_attempts(1)
            }
            _ => Request::get(origins.url(position, self.path())),
        }
    }

    /// Returns its path at the origins, which is also its name.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Post => "post",
            Self::Chunked => "chunked",
            Self::Gzip => "gzip",
            Self::Redirect => "redirect",
            Self::Large => "large",
            Self::Slow => "slow",
            Self::Busy => "busy",
            Self::Reset => "reset",
            Self::Empty => "empty",
            Self::Cut => "cut",
            Self::Garbage => "garbage",
            Self::Refused => "refused",
            Self::Unread => "unread",
        }
    }
}
