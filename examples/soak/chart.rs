//! Draws a run.

use crate::{
    plot::{Figure, Kind, Panel, Series},
    record::Record,
    usage::Usage,
};

/// Draws memory, sockets and tasks over time.
pub(crate) fn draw(record: &Record) -> Figure {
    let panel = |title: &str, unit: &str, value: fn(&Usage) -> f64| {
        let samples = record.samples.iter();
        let points = samples.map(|sample| (sample.at.as_secs_f64() / 60.0, value(&sample.usage)));
        Panel {
            title: title.to_owned(),
            x: "minutes".to_owned(),
            y: unit.to_owned(),
            series: vec![Series {
                name: title.to_owned(),
                points: points.collect(),
                kind: Kind::Line,
            }],
        }
    };
    Figure::new(format!("The service during {record}"), 3)
        .panel(panel("Resident memory", "MiB", Usage::mebibytes))
        .panel(panel("Open sockets", "sockets", |usage| {
            usage.sockets as f64
        }))
        .panel(panel("Tasks", "tasks", |usage| usage.tasks as f64))
}
