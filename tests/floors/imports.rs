//! Finds the top-level modules that a source file uses: `crate::a`, `super::a`,
//! `crate::{a, b::{c, d}}`, in `use` and inside code. Tests count like other code.

use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Import {
    /// The first segment below the crate root.
    pub(crate) target: String,
    pub(crate) line: usize,
}

/// Returns the module of each name that the crate root re-exports.
pub(crate) fn reexports(root: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let mut braces = 0;
    let tokens = tokens(root);
    for (start, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => braces += 1,
            "}" => braces -= 1,
            "use" if braces == 0 => {
                let path = tokens[start + 1..].iter().map(|token| token.text.as_str());
                let path = path.take_while(|text| *text != ";");
                let mut path = path.filter(|text| is_word(text) && *text != "crate");
                let module = path.next().unwrap_or_default();
                names.extend(path.map(|name| (name.to_owned(), module.to_owned())));
            }
            _ => {}
        }
    }
    names
}

/// Returns the imports of a file whose module is `depth` levels below the crate root.
pub(crate) fn read(source: &str, depth: usize) -> Vec<Import> {
    let tokens = tokens(source);
    let mut imports = Vec::new();
    let mut braces = Vec::new();
    let mut depth = depth;
    let mut position = 0;
    while position < tokens.len() {
        let text = |offset: usize| tokens.get(position + offset).map_or("", |t| &t.text);
        let continues = position > 0 && tokens[position - 1].text == "::";
        match text(0) {
            "crate" | "fetchd" | "super" | "self" if text(1) == "::" && !continues => {
                let mut path = Path {
                    tokens: &tokens,
                    position,
                    imports: &mut imports,
                };
                path.read(depth);
                position = path.position;
                continue;
            }
            "{" => {
                let is_module = position > 1 && tokens[position - 2].text == "mod";
                depth += usize::from(is_module);
                braces.push(is_module);
            }
            "}" => depth -= usize::from(braces.pop().unwrap_or(false)),
            _ => {}
        }
        position += 1;
    }
    imports
}

struct Path<'a> {
    tokens: &'a [Token],
    position: usize,
    imports: &'a mut Vec<Import>,
}

impl Path<'_> {
    /// Reads one path, or one tree of a `use`, from a module at `depth`.
    fn read(&mut self, mut depth: usize) {
        loop {
            let Some(token) = self.tokens.get(self.position) else {
                return;
            };
            self.position += 1;
            match token.text.as_str() {
                "crate" | "fetchd" => depth = 0,
                "super" => depth = depth.checked_sub(1).expect("super of the crate root"),
                "self" => {}
                "{" => return self.read_branches(depth),
                name => {
                    if depth == 0 {
                        self.imports.push(Import {
                            target: name.to_owned(),
                            line: token.line,
                        });
                    }
                    depth += 1;
                }
            }
            if self.text() != "::" {
                return;
            }
            self.position += 1;
        }
    }

    fn read_branches(&mut self, depth: usize) {
        while !self.text().is_empty() {
            match self.text() {
                "}" => {
                    self.position += 1;
                    return;
                }
                "," => self.position += 1,
                "as" => self.position += 2,
                _ => self.read(depth),
            }
        }
    }

    fn text(&self) -> &str {
        self.tokens.get(self.position).map_or("", |t| &t.text)
    }
}

struct Token {
    text: String,
    line: usize,
}

/// Splits source code into words, `::` and single characters, without comments,
/// strings, characters and lifetimes.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped(rest);
        let (text, after) = rest.split_at(skipped.unwrap_or_else(|| token_length(rest)));
        if skipped.is_none() && !first.is_whitespace() {
            let text = text.to_owned();
            tokens.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

fn token_length(rest: &str) -> usize {
    let word = rest.find(|character: char| !is_part_of_word(character));
    match word.unwrap_or(rest.len()) {
        0 if rest.starts_with("::") => 2,
        0 => rest.chars().next().map_or(0, char::len_utf8),
        length => length,
    }
}

/// Returns the length of a comment, string, character or lifetime at the start.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix);
        after.is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    });
    if let Some(prefix) = prefix {
        let after = &rest[prefix.len()..];
        let hashes = after.len() - after.trim_start_matches('#').len();
        if prefix.ends_with('r') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &after[hashes + 1..];
            let length = body.find(&end).map_or(body.len(), |at| at + end.len());
            return Some(prefix.len() + hashes + 1 + length);
        }
        if hashes == 0 {
            return Some(prefix.len() + quoted(after, '"'));
        }
    }
    rest.starts_with('\'').then(|| {
        let mut inner = rest[1..].chars();
        match (inner.next(), inner.next()) {
            (Some('\\'), _) | (_, Some('\'')) => quoted(rest, '\''),
            _ => 1 + token_length(&rest[1..]),
        }
    })
}

/// Returns the length of a literal that starts and ends with `quote`.
fn quoted(literal: &str, quote: char) -> usize {
    let mut escaped = false;
    for (position, character) in literal.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return position + quote.len_utf8(),
            _ => {}
        }
    }
    literal.len()
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut position = 0;
    while position < rest.len() {
        if rest[position..].starts_with("/*") {
            depth += 1;
            position += 2;
        } else if rest[position..].starts_with("*/") {
            depth -= 1;
            position += 2;
        } else {
            position += rest[position..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    position
}

fn is_word(text: &str) -> bool {
    text.chars().all(is_part_of_word)
}

fn is_part_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[test]
fn every_form_of_import_is_found() {
    for (depth, source, expected) in [
        (1, "use crate::a::B;", "a"),
        (1, "use crate::{a::{self, X}, b, C as D, e::*};", "a b C e"),
        (1, "use super::{a, b::{c, d}};", "a b"),
        (2, "use super::{super::a, b};", "a"),
        (2, "use super::super::{a, b};", "a b"),
        (
            1,
            "fn f() -> crate::a::B { super::c::d(self::e::F) }",
            "a c",
        ),
        (
            1,
            "mod tests { use super::super::a; use super::b; } use super::c;",
            "a c",
        ),
        (0, "use fetchd::client::Client; mod a;", "client"),
        (1, "pub(crate) fn f(self) { crate::a::b() }", "a"),
        (
            1,
            "// crate::a\n/* crate::b /* */ crate::c */ use crate::d;",
            "d",
        ),
        (
            1,
            r##"f("crate::a", r#"" crate::b"#, '"', b'\'', crate::c::D)"##,
            "c",
        ),
        (1, "fn f<'a>(x: &'a crate::b::C) { '\\n'; '{'; }", "b"),
    ] {
        let targets = read(source, depth).into_iter().map(|import| import.target);
        assert_eq!(targets.collect::<Vec<_>>().join(" "), expected, "{source}");
    }
}

#[test]
fn reexported_names_have_their_module() {
    let names = reexports("mod a { use crate::x::Y; } pub use a::{B, C}; pub use crate::d::E;");
    let names: Vec<_> = names
        .iter()
        .map(|(name, module)| format!("{name}:{module}"))
        .collect();
    assert_eq!(names, ["B:a", "C:a", "E:d"]);
}
