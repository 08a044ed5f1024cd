//! Bodies that tell which request they belong to.

/// Returns the body of the response to request `id`: its number, its status, its size, and
/// `size` more bytes.
pub(crate) fn of(id: usize, status: u16, size: usize) -> Vec<u8> {
    let mut body = format!("{id} {status} {size}\n").into_bytes();
    body.extend((0..size).map(|at| byte(id, at)));
    body
}

/// Returns true if this is the whole body of the response to request `id`.
pub(crate) fn belongs_to(body: &[u8], id: usize, status: u16) -> bool {
    let line_end = body.iter().position(|byte| *byte == b'\n');
    let Some((line, rest)) = line_end.map(|at| (&body[..at], &body[at + 1..])) else {
        return false;
    };
    let expected = format!("{id} {status} {}", rest.len());
    line == expected.as_bytes() && rest.iter().enumerate().all(|(at, is)| *is == byte(id, at))
}

fn byte(id: usize, at: usize) -> u8 {
    (id * 31 + at).to_le_bytes()[0]
}
