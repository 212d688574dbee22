//! The encoder with the operations of any [`Cpu`], and these in plain Rust: the reference for tests.

use super::{
    code::Code,
    emit::{BitWriter, put_segment},
    matcher::{Cpu, Matcher, SEGMENT_BYTES, TEXT_START},
};

/// [`super::Encoder::block`] with the operations of `C`.
pub fn block<C: Cpu>(matcher: &mut Matcher, code: &Code, room: &mut [u8]) -> Option<usize> {
    let mut writer = BitWriter::new(room, code);
    let mut coded = TEXT_START;
    let mut complete = true;
    let known = matcher.known();
    if known.end > TEXT_START {
        let starts = matcher.mark::<C>(TEXT_START, known.end);
        matcher.learn(starts, known.end);
    }
    for from in (known.end..matcher.end()).step_by(SEGMENT_BYTES) {
        let starts = matcher.mark::<C>(from, matcher.end());
        let probes = matcher.compare::<C>(starts);
        let kept = matcher.select::<C>(probes, known.matches, coded.max(known.coded));
        let end = matcher.end().min(from + SEGMENT_BYTES);
        complete &= put_segment(&mut writer, code, matcher, kept, end, &mut coded);
        if !complete {
            break;
        }
    }
    matcher.forget();
    complete.then(|| writer.finish(code))
}

/// Plain Rust. Where the target has something better, only tests need it.
#[cfg(any(test, not(target_arch = "aarch64")))]
pub struct Portable;

#[cfg(any(test, not(target_arch = "aarch64")))]
impl Cpu for Portable {
    #[inline(always)]
    fn alphanumeric(block: &[u8; 64]) -> u64 {
        let bits = block.iter().enumerate();
        bits.fold(0, |word, (at, byte)| {
            word | u64::from(byte.is_ascii_alphanumeric()) << at
        })
    }

    #[inline(always)]
    fn differing(a: &[u8; 32], b: &[u8; 32]) -> u32 {
        let bits = a.iter().zip(b).enumerate();
        bits.fold(0, |word, (at, (a, b))| word | u32::from(a != b) << at)
    }
}
