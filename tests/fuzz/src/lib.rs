//! What the targets share: which decoder an input is for, how often each ran, and what must hold of whatever it takes.
//!
//! A decoder takes bytes and says whether they were legal. It panics when something that must hold does not: that, a leak of
//! memory beyond its limit and an input that takes seconds are what is looked for.

pub mod door;
pub mod oracle;
pub mod parts;
mod tally;

use libfuzzer_sys::Corpus;

/// One decoder of a target.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// What it reads, as the table of the runner has it.
    pub name: &'static str,
    /// Reads; whether the bytes were legal.
    pub read: fn(&[u8]) -> bool,
}

/// Most decoders of a target. The first byte of an input chooses one of so many places, so that another decoder does not
/// change what the inputs that are kept are for.
pub const DECODERS_MAX: usize = 32;

/// Hands an input to the decoder that its first byte chooses.
pub fn run(decoders: &[Decoder], input: &[u8]) -> Corpus {
    let Some((choice, rest)) = input.split_first() else {
        return Corpus::Reject;
    };
    let place = usize::from(*choice) % DECODERS_MAX;
    let Some(decoder) = decoders.get(place) else {
        return Corpus::Reject;
    };
    let is_legal = (decoder.read)(rest);
    tally::count(decoders, place, is_legal);
    Corpus::Keep
}
