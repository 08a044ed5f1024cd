//! The hosts that callers fetch from, and how often.

use fastrand::Rng;

/// Hosts with their names and popularity. Host 0 is the most popular one.
pub(crate) struct Hosts {
    names: Vec<String>,
    /// The share of the requests that each host gets. The sum is 1.
    shares: Vec<f64>,
    /// Walker's alias table, from which a host is drawn in constant time.
    aliases: Vec<Alias>,
}

/// A column of the table: `host` itself with this probability, else `other`.
#[derive(Clone, Copy)]
struct Alias {
    probability: f64,
    other: u32,
}

/// How the popularity of a host follows from its rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Popularity {
    /// All hosts get the same share.
    Uniform,
    /// The share is proportional to 1/rank: Zipf's law with exponent 1.
    Zipf,
}

impl Popularity {
    pub(crate) const ALL: [Self; 2] = [Self::Uniform, Self::Zipf];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "Zipf",
        }
    }
}

impl Hosts {
    pub(crate) fn new(count: u32, popularity: Popularity) -> Self {
        let weights = (1..=count).map(|rank| match popularity {
            Popularity::Uniform => 1.0,
            Popularity::Zipf => 1.0 / f64::from(rank),
        });
        let weights: Vec<f64> = weights.collect();
        let total: f64 = weights.iter().sum();
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        Self {
            names: (0..count).map(|host| format!("{host}.example")).collect(),
            aliases: aliases(&shares),
            shares,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the share of the requests that each host gets.
    pub(crate) fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Draws a host by its popularity.
    pub(crate) fn draw(&self, random: &mut Rng) -> u32 {
        let column = random.usize(..self.aliases.len());
        let Alias { probability, other } = self.aliases[column];
        if random.f64() < probability {
            column as u32
        } else {
            other
        }
    }
}

/// Fills each column up to the average: a host below it shares its column with one above.
fn aliases(shares: &[f64]) -> Vec<Alias> {
    let mut heights: Vec<f64> = shares.iter().map(|s| s * shares.len() as f64).collect();
    let columns = 0..heights.len();
    let (mut low, mut high): (Vec<_>, Vec<_>) = columns.partition(|&host| heights[host] < 1.0);
    let mut aliases: Vec<Alias> = (0..heights.len() as u32)
        .map(|host| Alias {
            probability: 1.0,
            other: host,
        })
        .collect();
    while let (Some(small), Some(&large)) = (low.pop(), high.last()) {
        aliases[small] = Alias {
            probability: heights[small],
            other: large as u32,
        };
        heights[large] -= 1.0 - heights[small];
        if heights[large] < 1.0 {
            high.pop();
            low.push(large);
        }
    }
    aliases
}
