//! All parts of the model, run once.

use crate::{
    growth::{self, Growth},
    hosts::Popularity,
    loss::{self, Loss},
    reuse::{self, Curve},
    rollout::{self, Moves},
    scale, spread,
};

/// The results of a run.
pub(crate) struct Run {
    /// The share of the requests that the most popular host gets, by Zipf's law.
    pub(crate) zipf_top: f64,
    pub(crate) spreads: Vec<spread::Run>,
    pub(crate) curves: Vec<Curve>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) moves: Vec<Moves>,
    pub(crate) rollouts: Vec<rollout::Run>,
    pub(crate) growths: Vec<Growth>,
}

impl Run {
    pub(crate) fn new() -> Self {
        let fleet = scale::fleet(scale::REPLICAS);
        let view = fleet.view();
        Self {
            zipf_top: scale::hosts(Popularity::Zipf).shares()[0],
            spreads: spread::table(&view),
            curves: reuse::curves(&view),
            losses: loss::losses(&fleet),
            moves: rollout::moves(&fleet),
            rollouts: rollout::runs(&fleet),
            growths: growth::growths(&fleet),
        }
    }
}
