//! The one place that draws randomness from the operating system.

/// Draws 32 unpredictable bytes.
///
/// # Panics
///
/// When the operating system gives none; nothing that needs a secret can go on then.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one source of entropy")]
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system gives random bytes");
    seed
}
