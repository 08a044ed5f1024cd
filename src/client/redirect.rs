//! Redirects, as in reqwest's module of the same name.

/// How to handle redirects. Pass it to [`Builder::redirect`].
///
/// It has the names and the meaning of reqwest's `redirect::Policy`, which we can't accept
/// itself: it doesn't tell anyone what it contains. There's no `custom`, since it's the
/// service that follows the redirects.
///
/// The default is `Policy::limited(10)`.
///
/// [`Builder::redirect`]: super::Builder::redirect
#[derive(Debug, Clone)]
pub struct Policy {
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Limited(usize),
    None,
}

/// The most redirects that services follow, according to the contract.
const MAX_REDIRECTS: u32 = 20;

impl Policy {
    /// Follows up to `max` redirects. If there are more, the request fails with
    /// `Reason::TooManyRedirects`.
    ///
    /// `max` has to be between 1 and 20, since services don't follow more than that. With
    /// any other value, [`Builder::connect`](super::Builder::connect) fails.
    pub fn limited(max: usize) -> Self {
        let kind = Kind::Limited(max);
        Self { kind }
    }

    /// Doesn't follow redirects. You get the redirect itself as the response.
    pub fn none() -> Self {
        Self { kind: Kind::None }
    }

    /// Returns the number of redirects to follow, or a message if there's no option for
    /// this policy.
    pub(super) fn max_redirects(self) -> Result<u32, String> {
        let max = match self.kind {
            Kind::None => return Ok(0),
            Kind::Limited(max) => max,
        };
        let allowed = u32::try_from(max)
            .ok()
            .filter(|max| (1..=MAX_REDIRECTS).contains(max));
        // 0 needs to be an error too. In the contract it means `none`, but in reqwest it
        // makes every redirect fail.
        allowed.ok_or_else(|| {
            format!("expected a limit between 1 and {MAX_REDIRECTS}, or Policy::none(), got {max}")
        })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::limited(10)
    }
}
