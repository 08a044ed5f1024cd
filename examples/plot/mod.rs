//! Small SVG line and bar charts for the documentation, with the standard library only.
//!
//! There is no background, and text, grid and series have colours that can be read on a light
//! and on a dark page. The same input always gives the same bytes.

#![allow(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]

use std::fmt::{self, Display, Formatter, Write as _};
use std::path::Path;
use std::{fs, io};

/// Size of a panel and the margins around its plot area, in pixels.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 20.0;
const BOTTOM: f64 = HEIGHT - 42.0;
/// Height of one line of text, in pixels.
const ROW: f64 = 16.0;
/// Longest line that is drawn: more points would make the file larger, not the chart clearer.
const MAX_POINTS: usize = 600;
/// Series colours in order; a sixth series starts again at the first.
const PALETTE: [&str; 5] = ["#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6"];
/// Steps between x ticks, times a power of ten, the nicest first.
const STEPS: [f64; 11] = [1., 2., 5., 10., 2.5, 4., 1.5, 3., 6., 8., 15.];

/// A titled grid of panels, filled row by row with at most `columns` panels in a row.
pub(crate) struct Figure {
    title: String,
    panels: Vec<Panel>,
    columns: usize,
}

/// One chart of 360 x 220 px; titles fit up to about 45 characters and axis labels up to 25.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// Label of the x axis, with its unit.
    pub(crate) x: String,
    /// Label of the y axis, with its unit.
    pub(crate) y: String,
    pub(crate) series: Vec<Series>,
}

/// Named (x, y) points in the units of the axes; a line joins them in the order given.
/// Points that are not finite or are beyond 1e12 are left out, and a negative y is drawn as 0.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) kind: Kind,
}

/// How a series is drawn; bar series of one panel stand side by side at each x.
#[allow(dead_code, reason = "an example may need only one of the two")]
#[derive(PartialEq)]
pub(crate) enum Kind {
    /// A line through at most 600 points; longer series are thinned evenly.
    Line,
    /// One bar a point, from 0 up to its y; bars are never thinned.
    Bars,
}

impl Figure {
    /// An empty figure; an empty title takes no room, and `columns` counts as at least 1.
    pub(crate) fn new(title: impl Into<String>, columns: usize) -> Self {
        Self {
            title: title.into(),
            panels: Vec::new(),
            columns,
        }
    }

    /// Adds a panel after those already there.
    pub(crate) fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// Writes the SVG to `path` and replaces what was there; the folder must exist.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, self.to_string())
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let columns = self.columns.clamp(1, self.panels.len().max(1));
        let top = f64::from(u8::from(!self.title.is_empty())) * 1.5 * ROW;
        let (width, title) = (WIDTH * columns as f64, escape(&self.title));
        let height = top + HEIGHT * self.panels.len().div_ceil(columns) as f64;
        write!(f, "<svg xmlns='http://www.w3.org/2000/svg' ")?;
        write!(f, "viewBox='0 0 {width} {height}' ")?;
        write!(f, "width='{width}' height='{height}' ")?;
        write!(f, "role='img' aria-label='{title}' ")?;
        writeln!(f, "font-family='sans-serif' font-size='11px' fill='#888'>")?;
        if top > 0.0 {
            let style = "text-anchor='middle' font-weight='bold'";
            text(f, width / 2.0, ROW, style, &self.title)?;
        }
        for (i, panel) in self.panels.iter().enumerate() {
            let x = WIDTH * (i % columns) as f64;
            let y = top + HEIGHT * (i / columns) as f64;
            writeln!(f, "<g transform='translate({x} {y})'>")?;
            panel.draw(f)?;
            writeln!(f, "</g>")?;
        }
        writeln!(f, "</svg>")
    }
}

impl Panel {
    /// Draws the panel with its top left corner at (0, 0).
    fn draw(&self, f: &mut Formatter<'_>) -> fmt::Result {
        text(f, LEFT, ROW, "font-weight='bold'", &self.title)?;
        // Many legend rows push the plot area down, but always leave it 60 px.
        let top = (1.5 * ROW + ROW * self.legend(f)?).min(BOTTOM - 60.0);
        let bars = || self.series.iter().filter(|s| s.kind == Kind::Bars);

        // The smallest distance between bars sets their width, so that none overlap.
        let mut at: Vec<f64> = bars().flat_map(Series::drawn).map(|p| p.0).collect();
        at.sort_by(f64::total_cmp);
        let gaps = at.windows(2).map(|w| w[1] - w[0]).filter(|&g| g > 0.0);
        let gap = gaps.reduce(f64::min).unwrap_or(1.0);
        let slot = 0.8 * gap / bars().count().max(1) as f64;

        let points = || self.series.iter().flat_map(Series::drawn);
        let pad = if at.is_empty() { 0.0 } else { gap / 2.0 };
        let lo = points().map(|p| p.0).reduce(f64::min).unwrap_or(0.0) - pad;
        let hi = points().map(|p| p.0).reduce(f64::max).unwrap_or(0.0) + pad;
        let whole = points().next().is_some() && points().all(|p| p.0.fract() == 0.0);
        let x = Axis::spanning(lo, hi, whole);
        let y = Axis::from_zero(points().map(|p| p.1).fold(0.0, f64::max), top);

        let mut grid = String::new();
        for v in x.ticks() {
            write!(grid, "M{} {top}V{BOTTOM}", x.at(v))?;
            let name = label(v, x.step);
            text(f, x.at(v), BOTTOM + 14.0, "text-anchor='middle'", &name)?;
        }
        for v in y.ticks() {
            write!(grid, "M{LEFT} {}H{RIGHT}", y.at(v))?;
            let name = label(v, y.step);
            text(f, LEFT - 6.0, y.at(v) + 4.0, "text-anchor='end'", &name)?;
        }
        let (cx, cy) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(top, BOTTOM));
        text(f, cx, HEIGHT - 10.0, "text-anchor='middle'", &self.x)?;
        let turned = format!("text-anchor='middle' transform='rotate(-90 12 {cy})'");
        text(f, 12.0, cy, &turned, &self.y)?;
        let style = "fill='none' stroke='#888' stroke-opacity";
        writeln!(f, "<path d='{grid}' {style}='.25' stroke-width='.5'/>")?;
        writeln!(f, "<path d='M{LEFT} {top}V{BOTTOM}H{RIGHT}' {style}='.8'/>")?;

        let mut left = -0.4 * gap;
        for (series, colour) in self.series.iter().zip(PALETTE.iter().cycle()) {
            let (mut d, points) = (String::new(), series.drawn().collect::<Vec<_>>());
            if series.kind == Kind::Bars {
                for (px, py) in points {
                    let (from, to) = (x.at(px + left), x.at(px + left + slot));
                    let to = short(to.max(from + 0.5));
                    write!(d, "M{from} {BOTTOM}V{}H{to}V{BOTTOM}z", y.at(py))?;
                }
                writeln!(f, "<path d='{d}' fill='{colour}' fill-opacity='.85'/>")?;
                left += slot;
            } else {
                let kept = points.len().min(MAX_POINTS);
                for i in 0..kept {
                    // The first and the last point always stay.
                    let (px, py) = points[i * (points.len() - 1) / (kept - 1).max(1)];
                    let join = if i == 0 { "" } else { " " };
                    write!(d, "{join}{},{}", x.at(px), y.at(py))?;
                }
                write!(f, "<polyline points='{d}' fill='none' stroke='{colour}' ")?;
                writeln!(f, "stroke-width='1.5' stroke-linejoin='round'/>")?;
            }
        }
        Ok(())
    }

    /// Draws the legend if there is more than one series, and returns how many rows it took.
    /// Widths are estimated at 6.2 px a character, as no font can be measured here.
    fn legend(&self, f: &mut Formatter<'_>) -> Result<f64, fmt::Error> {
        let (mut x, mut rows) = (LEFT, 1.0);
        if self.series.len() < 2 {
            return Ok(0.0);
        }
        for (series, colour) in self.series.iter().zip(PALETTE.iter().cycle()) {
            let width = 24.0 + 6.2 * series.name.chars().count() as f64;
            if x > LEFT && x + width > WIDTH {
                (x, rows) = (LEFT, rows + 1.0);
            }
            let (left, y) = (short(x), ROW + ROW * rows);
            write!(f, "<rect x='{left}' y='{}' width='10' ", y - 9.0)?;
            writeln!(f, "height='10' fill='{colour}'/>")?;
            text(f, x + 14.0, y, "", &series.name)?;
            x += width;
        }
        Ok(rows)
    }
}

impl Series {
    /// The points that can be drawn, with y at least 0; a NaN fails both comparisons.
    fn drawn(&self) -> impl Iterator<Item = (f64, f64)> {
        let kept = |p: &&(f64, f64)| p.0.abs() <= 1e12 && p.1.abs() <= 1e12;
        self.points.iter().filter(kept).map(|p| (p.0, p.1.max(0.0)))
    }
}

/// Maps a range of values onto a range of pixels, with a tick at each multiple of `step`.
struct Axis {
    range: (f64, f64),
    pixels: (f64, f64),
    step: f64,
}

impl Axis {
    /// From 0 to `max` rounded up to 1, 2, 2.5 or 5 times a power of ten, in 4 or 5 steps.
    /// The top is at least 1e-6, as smaller labels would not fit.
    fn from_zero(max: f64, top: f64) -> Self {
        let max = if max > 0.0 { max.max(1e-6) } else { 1.0 };
        let ten = magnitude(max);
        let nice = [(1.0, 5.0), (2.0, 4.0), (2.5, 5.0), (5.0, 5.0)];
        let fits = |n: &(f64, f64)| max <= n.0 * ten * (1.0 + 1e-9);
        let (nice, parts) = nice.into_iter().find(fits).unwrap_or((10.0, 5.0));
        Self {
            range: (0.0, nice * ten),
            pixels: (BOTTOM, top),
            step: nice * ten / parts,
        }
    }

    /// From `lo` to `hi` exactly, with 4 or 5 ticks at round values where the range allows it.
    /// If `whole` is set the ticks are whole numbers, and a short range may have fewer.
    fn spanning(lo: f64, hi: f64, whole: bool) -> Self {
        // A range near the precision of f64 is widened, as its ticks could not be told apart.
        let least = (lo.abs().max(hi.abs()) * 1e-12).max(1e-6);
        let pad = if hi - lo < least { 0.5 } else { 0.0 };
        let range = (lo - pad, hi + pad);
        let ten = magnitude((range.1 - range.0) / 5.0);
        let axis = |step| Self {
            range,
            pixels: (LEFT, RIGHT),
            step,
        };
        let pick = |least, most| {
            let tried = STEPS.iter().map(|m| axis(m * ten));
            let mut tried = tried.filter(|a| !whole || a.step.fract() == 0.0);
            tried.find(|a| (least..=most).contains(&a.ticks().count()))
        };
        let nearest = pick(4, 5).or_else(|| pick(3, 6)).or_else(|| pick(1, 6));
        nearest.unwrap_or_else(|| axis((range.1 - range.0) / 4.0))
    }

    /// The multiples of the step inside the range, ends included.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (step, end) = (self.step, self.range.1 / self.step + 1e-6);
        let first = (self.range.0 / step - 1e-6).ceil();
        let next = move |n: &f64| Some(n + 1.0);
        std::iter::successors(Some(first), next)
            .take_while(move |&n| n <= end)
            .map(move |n| n * step)
    }

    /// The pixel of a value, to one decimal.
    fn at(&self, value: f64) -> f64 {
        let ((lo, hi), (start, end)) = (self.range, self.pixels);
        short(start + (value - lo) / (hi - lo) * (end - start))
    }
}

/// Largest power of ten up to `value`; a loop, since a logarithm can differ between systems.
fn magnitude(value: f64) -> f64 {
    let mut ten = 1.0;
    while ten * 10.0 <= value {
        ten *= 10.0;
    }
    while ten > value.max(1e-9) {
        ten /= 10.0;
    }
    ten
}

/// Rounds to one decimal, to keep files small; adding 0 turns -0 into 0.
fn short(value: f64) -> f64 {
    (value * 10.0).round() / 10.0 + 0.0
}

/// A tick label such as 1,000, 250k or 2M, with as many decimals as the step needs.
fn label(value: f64, step: f64) -> String {
    let (scale, unit) = match value.abs() {
        v if v >= 1e6 && step >= 1e5 => (1e6, "M"),
        v if v > 0.0 && step >= 5e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    // Decimals beyond the step's own are rounding noise; trailing zeros are dropped below.
    let decimals = (0..9).take_while(|&d| step / scale * 10_f64.powi(d) < 9.99);
    let digits = format!("{:.*}", decimals.count(), value.abs() / scale);
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    out + if fraction.is_empty() { "" } else { "." } + fraction + unit
}

/// Writes one escaped text element; `style` holds further attributes or nothing.
fn text(f: &mut Formatter<'_>, x: f64, y: f64, style: &str, content: &str) -> fmt::Result {
    let (x, y, content) = (short(x), short(y), escape(content));
    let space = if style.is_empty() { "" } else { " " };
    writeln!(f, "<text x='{x}' y='{y}'{space}{style}>{content}</text>")
}

/// Escapes text for XML; characters that XML does not allow become spaces.
fn escape(raw: &str) -> String {
    let barred = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    let clean = raw.replace(barred, " ").replace('&', "&amp;");
    let clean = clean.replace('<', "&lt;").replace('>', "&gt;");
    clean.replace('"', "&quot;").replace('\'', "&#39;")
}
