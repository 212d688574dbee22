//! Little-endian integers and tables of fixed entries within a value. No length of a value can make them panic.

use super::Corrupt;

/// Takes `count` bytes off the front of `rest`.
pub(super) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Corrupt> {
    let (part, after) = rest.split_at_checked(count).ok_or(Corrupt::Length)?;
    *rest = after;
    Ok(part)
}

/// Takes `count` entries of `N` bytes off the front of `rest`.
pub(super) fn table<'a, const N: usize>(
    rest: &mut &'a [u8],
    count: usize,
) -> Result<&'a [[u8; N]], Corrupt> {
    let bytes = count.checked_mul(N).ok_or(Corrupt::Length)?;
    Ok(take(rest, bytes)?.as_chunks().0)
}

#[inline]
pub(super) fn u32_at(entry: &[u8], at: usize) -> u32 {
    entry
        .get(at..)
        .and_then(|tail| tail.first_chunk())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[inline]
pub(super) fn u64_at(entry: &[u8], at: usize) -> u64 {
    entry
        .get(at..)
        .and_then(|tail| tail.first_chunk())
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
