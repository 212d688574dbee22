//! Buffers of connections grow in small steps: what many of them keep for more is memory nobody uses.

/// Least room that growing adds.
const STEP_BYTES: usize = 4 << 10;

/// Appends `bytes`. Grows by an eighth, where a vector doubles: the copying stays proportional to the bytes, and the room is
/// counted in the server's budget.
pub(super) fn append(to: &mut Vec<u8>, bytes: &[u8]) {
    if to.capacity() - to.len() < bytes.len() {
        let step = if to.is_empty() {
            0
        } else {
            (to.len() / 8).max(STEP_BYTES)
        };
        to.reserve_exact(bytes.len() + step);
    }
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_more_is_an_eighth_at_most() {
        let mut buffer = Vec::new();
        let (mut moves, mut capacity) = (0, 0);
        for _ in 0..1000 {
            append(&mut buffer, &[7; 1448]);
            let unused = buffer.capacity() - buffer.len();
            assert!(unused <= buffer.len() / 8 + STEP_BYTES, "{unused}");
            moves += usize::from(buffer.capacity() != capacity);
            capacity = buffer.capacity();
        }
        assert_eq!(buffer.len(), 1_448_000);
        assert!(moves < 60, "{moves}");
    }
}
