//! Unmasking with vectors: one algorithm over a small [`Vector`] trait, then the architectures.
//!
//! The algorithm is generic and always inlined into one function for each set of instructions, for
//! only there may the compiler use them.

use super::{SHORT_BYTES_MAX, advance};

#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::unmask_long;

#[cfg(all(
    target_arch = "aarch64",
    target_feature = "neon",
    target_endian = "little"
))]
pub(super) use aarch64::unmask_long;

#[cfg(not(any(
    target_arch = "x86_64",
    all(
        target_arch = "aarch64",
        target_feature = "neon",
        target_endian = "little"
    )
)))]
pub(super) use plain::unmask_long;

/// Vectors unmasked in one step of the main loop.
const VECTORS_A_STEP: usize = 4;

/// A register of several bytes, and the four operations that unmasking needs.
///
/// # Safety
///
/// The caller of any method has made sure that the CPU has the instructions which the
/// implementation names. The implementor promises that `load` and `store` touch `BYTES` bytes.
unsafe trait Vector: Copy {
    /// Width in bytes: a power of two, from 4 to [`SHORT_BYTES_MAX`].
    const BYTES: usize;

    /// The key again and again.
    unsafe fn repeat(key: [u8; 4]) -> Self;

    /// Reads `BYTES` bytes from any alignment; they must be valid for reads.
    unsafe fn load(from: *const u8) -> Self;

    /// Writes `BYTES` bytes at any alignment; they must be valid for writes.
    unsafe fn store(self, to: *mut u8);

    unsafe fn xor(self, other: Self) -> Self;
}

/// Unmasks more than [`SHORT_BYTES_MAX`] bytes.
///
/// The first and the last vector are read at once and written when all else is done. What lies
/// between then needs no care for odd bytes: a loop of aligned vectors starts within the first one
/// and stops within the last one, and where it overlaps with them both write the same bytes.
///
/// # Safety
///
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn unmask_with<V: Vector>(bytes: &mut [u8], key: [u8; 4]) {
    const { assert!(V::BYTES.is_power_of_two() && 4 <= V::BYTES && V::BYTES <= SHORT_BYTES_MAX) };
    let length = bytes.len();
    // A bound that safe code could break must hold in release builds too.
    assert!(length >= V::BYTES);
    let start = bytes.as_mut_ptr();
    let last_at = length - V::BYTES;
    // In 1..=V::BYTES, so the first vector reaches as far as the aligned ones begin.
    let aligned_at = V::BYTES - start.addr() % V::BYTES;

    // SAFETY: the CPU has the instructions, says the caller. Every access is of V::BYTES bytes
    // within `bytes`: at 0 and at `last_at` since length >= V::BYTES; in the loops since
    // `at` + the bytes of a step <= length, which for one vector is `at` <= `last_at`. The slice is
    // borrowed mutably, so nobody else reads or writes it meanwhile.
    unsafe {
        let first = V::load(start).xor(V::repeat(key));
        let last = V::load(start.add(last_at)).xor(V::repeat(advance(key, last_at)));

        let keys = V::repeat(advance(key, aligned_at));
        let mut at = aligned_at;
        while at + VECTORS_A_STEP * V::BYTES <= length {
            let step = start.add(at);
            let a = V::load(step).xor(keys);
            let b = V::load(step.add(V::BYTES)).xor(keys);
            let c = V::load(step.add(2 * V::BYTES)).xor(keys);
            let d = V::load(step.add(3 * V::BYTES)).xor(keys);
            a.store(step);
            b.store(step.add(V::BYTES));
            c.store(step.add(2 * V::BYTES));
            d.store(step.add(3 * V::BYTES));
            at += VECTORS_A_STEP * V::BYTES;
        }
        while at < last_at {
            V::load(start.add(at)).xor(keys).store(start.add(at));
            at += V::BYTES;
        }

        first.store(start);
        last.store(start.add(last_at));
    }
}

/// Eight bytes in a general register, for any CPU.
#[cfg(any(
    test,
    not(any(
        target_arch = "x86_64",
        all(
            target_arch = "aarch64",
            target_feature = "neon",
            target_endian = "little"
        )
    ))
))]
pub(super) mod plain {
    use super::{Vector, unmask_with};

    pub(in super::super) fn unmask_long(bytes: &mut [u8], key: [u8; 4]) {
        // SAFETY: u64 needs no instructions that a CPU may lack.
        unsafe { unmask_with::<u64>(bytes, key) }
    }

    // SAFETY: a u64 has 8 bytes.
    unsafe impl Vector for u64 {
        const BYTES: usize = 8;

        #[inline(always)]
        unsafe fn repeat([a, b, c, d]: [u8; 4]) -> Self {
            u64::from_ne_bytes([a, b, c, d, a, b, c, d])
        }

        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            // SAFETY: 8 bytes are valid for reads, says the caller; any alignment will do.
            unsafe { from.cast::<u64>().read_unaligned() }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            // SAFETY: 8 bytes are valid for writes, says the caller; any alignment will do.
            unsafe { to.cast::<u64>().write_unaligned(self) }
        }

        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            self ^ other
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_loadu_si128, _mm_set1_epi32, _mm_storeu_si128,
        _mm_xor_si128, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_storeu_si256,
        _mm256_xor_si256, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_si512,
        _mm512_xor_si512,
    };
    use std::mem::transmute;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use super::{Vector, unmask_with};

    /// A function to be called only on a CPU that has its instructions.
    pub(super) type Unmask = unsafe fn(&mut [u8], [u8; 4]);

    /// An [`Unmask`]: at first [`choose`], which replaces itself by the best for this CPU.
    static CHOSEN: AtomicPtr<()> = AtomicPtr::new(choose as Unmask as *mut ());

    /// Unmasks with the widest vectors that the CPU has.
    #[inline]
    pub(in super::super) fn unmask_long(bytes: &mut [u8], key: [u8; 4]) {
        // Relaxed is enough: whichever function is found, it needs nothing else to be visible.
        let chosen = CHOSEN.load(Ordering::Relaxed);
        // SAFETY: only values of type `Unmask` are ever stored, and a function pointer is as wide
        // as a data pointer here. What is stored runs on this CPU, as `choose` made sure.
        unsafe { transmute::<*mut (), Unmask>(chosen)(bytes, key) }
    }

    #[cold]
    fn choose(bytes: &mut [u8], key: [u8; 4]) {
        let best = available()
            .next()
            .map_or(sse2 as Unmask, |(_, unmask)| unmask);
        CHOSEN.store(best as *mut (), Ordering::Relaxed);
        // SAFETY: the CPU has the instructions of what `available` gives, and always has SSE2.
        unsafe { best(bytes, key) }
    }

    /// What this CPU can run, the fastest first, each with its name.
    pub(super) fn available() -> impl Iterator<Item = (&'static str, Unmask)> {
        [
            (
                is_x86_feature_detected!("avx512f"),
                "avx512",
                avx512 as Unmask,
            ),
            (is_x86_feature_detected!("avx2"), "avx2", avx2 as Unmask),
            // Every x86_64 has it.
            (true, "sse2", sse2 as Unmask),
        ]
        .into_iter()
        .filter_map(|(detected, name, unmask)| detected.then_some((name, unmask)))
    }

    #[target_feature(enable = "avx512f")]
    fn avx512(bytes: &mut [u8], key: [u8; 4]) {
        // SAFETY: whoever calls this function has AVX-512F.
        unsafe { unmask_with::<__m512i>(bytes, key) }
    }

    #[target_feature(enable = "avx2")]
    fn avx2(bytes: &mut [u8], key: [u8; 4]) {
        // SAFETY: whoever calls this function has AVX2.
        unsafe { unmask_with::<__m256i>(bytes, key) }
    }

    fn sse2(bytes: &mut [u8], key: [u8; 4]) {
        // SAFETY: every x86_64 has SSE2.
        unsafe { unmask_with::<__m128i>(bytes, key) }
    }

    /// Implements [`Vector`] by the intrinsics of one width.
    macro_rules! vector {
        ($vector:ty, $bytes:literal, $repeat:ident, $load:ident, $store:ident, $xor:ident) => {
            // SAFETY: the intrinsics named read and write a whole `$vector`.
            unsafe impl Vector for $vector {
                const BYTES: usize = $bytes;

                #[inline(always)]
                unsafe fn repeat(key: [u8; 4]) -> Self {
                    // SAFETY: the CPU has the instruction, says the caller.
                    unsafe { $repeat(i32::from_ne_bytes(key)) }
                }

                #[inline(always)]
                unsafe fn load(from: *const u8) -> Self {
                    // SAFETY: the CPU has the instruction and the bytes are valid for reads, says
                    // the caller; any alignment will do.
                    unsafe { $load(from.cast()) }
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut u8) {
                    // SAFETY: the CPU has the instruction and the bytes are valid for writes, says
                    // the caller; any alignment will do.
                    unsafe { $store(to.cast(), self) }
                }

                #[inline(always)]
                unsafe fn xor(self, other: Self) -> Self {
                    // SAFETY: the CPU has the instruction, says the caller.
                    unsafe { $xor(self, other) }
                }
            }

            const _: () = assert!(size_of::<$vector>() == $bytes);
        };
    }

    vector!(
        __m128i,
        16,
        _mm_set1_epi32,
        _mm_loadu_si128,
        _mm_storeu_si128,
        _mm_xor_si128
    );
    vector!(
        __m256i,
        32,
        _mm256_set1_epi32,
        _mm256_loadu_si256,
        _mm256_storeu_si256,
        _mm256_xor_si256
    );
    vector!(
        __m512i,
        64,
        _mm512_set1_epi32,
        _mm512_loadu_si512,
        _mm512_storeu_si512,
        _mm512_xor_si512
    );
}

#[cfg(all(
    target_arch = "aarch64",
    target_feature = "neon",
    target_endian = "little"
))]
mod aarch64 {
    use std::arch::aarch64::{
        uint8x16_t, vdupq_n_u32, veorq_u8, vld1q_u8, vreinterpretq_u8_u32, vst1q_u8,
    };

    use super::{Vector, unmask_with};

    /// Unmasks with NEON, which belongs to what this target takes for granted.
    pub(in super::super) fn unmask_long(bytes: &mut [u8], key: [u8; 4]) {
        // SAFETY: this module is compiled for targets with NEON alone.
        unsafe { unmask_with::<uint8x16_t>(bytes, key) }
    }

    // SAFETY: the intrinsics read and write 16 bytes.
    unsafe impl Vector for uint8x16_t {
        const BYTES: usize = 16;

        #[inline(always)]
        unsafe fn repeat(key: [u8; 4]) -> Self {
            // SAFETY: the CPU has NEON, says the caller.
            unsafe { vreinterpretq_u8_u32(vdupq_n_u32(u32::from_ne_bytes(key))) }
        }

        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            // SAFETY: the CPU has NEON and 16 bytes are valid for reads, says the caller.
            unsafe { vld1q_u8(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            // SAFETY: the CPU has NEON and 16 bytes are valid for writes, says the caller.
            unsafe { vst1q_u8(to, self) }
        }

        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            // SAFETY: the CPU has NEON, says the caller.
            unsafe { veorq_u8(self, other) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    /// Bytes on both sides of a payload, which must stay as they are.
    const MARGIN: usize = 128;
    const LONGEST: usize = 4096;

    /// Runs on the CPU it was made for.
    type Unmask = unsafe fn(&mut [u8], [u8; 4]);

    /// Every implementation that this CPU can run, not only the chosen one.
    fn implementations() -> Vec<(&'static str, Unmask)> {
        let every_cpu: [(&str, Unmask); 2] =
            [("chosen", unmask_long), ("plain", plain::unmask_long)];
        #[cfg(target_arch = "x86_64")]
        return every_cpu.into_iter().chain(x86_64::available()).collect();
        #[cfg(not(target_arch = "x86_64"))]
        return every_cpu.into();
    }

    /// Masked bytes at every alignment asked for, between margins, and what they should become.
    struct Field {
        buffer: Vec<u8>,
        masked: Vec<u8>,
    }

    impl Field {
        fn new() -> Self {
            let masked: Vec<u8> = (0..LONGEST + 4 * MARGIN)
                .map(|at| (at * 167 % 253) as u8)
                .collect();
            Self {
                buffer: masked.clone(),
                masked,
            }
        }

        /// Panics unless `unmask` does to `length` bytes, `alignment` bytes behind the start of a
        /// cache line, what the byte by byte definition does, and nothing to the bytes around.
        fn check(
            &mut self,
            name: &str,
            unmask: Unmask,
            key: [u8; 4],
            alignment: usize,
            length: usize,
        ) {
            let line = self.buffer.as_ptr().align_offset(64);
            let from = line + MARGIN + alignment;
            let around = from - MARGIN..from + length + MARGIN;
            self.buffer[around.clone()].copy_from_slice(&self.masked[around.clone()]);

            // SAFETY: `implementations` lists what this CPU can run.
            unsafe { unmask(&mut self.buffer[from..from + length], key) };

            let right = around.clone().all(|at| {
                let inside = (from..from + length).contains(&at);
                let mask = if inside { key[(at - from) % 4] } else { 0 };
                self.buffer[at] == self.masked[at] ^ mask
            });
            assert!(
                right,
                "{name}: {length} bytes, alignment {alignment}, key {key:02x?}"
            );
        }
    }

    #[test]
    fn every_implementation_agrees_with_the_definition_at_every_length() {
        let mut field = Field::new();
        for (name, unmask) in implementations() {
            for alignment in [0, 1, 30, 63] {
                for length in SHORT_BYTES_MAX..=LONGEST {
                    field.check(name, unmask, KEY, alignment, length);
                }
            }
        }
    }

    #[test]
    fn every_implementation_agrees_with_the_definition_at_every_alignment_and_phase() {
        let mut field = Field::new();
        for (name, unmask) in implementations() {
            for alignment in 0..64 {
                for phase in 0..4 {
                    for length in SHORT_BYTES_MAX..=SHORT_BYTES_MAX + 330 {
                        field.check(name, unmask, advance(KEY, phase), alignment, length);
                    }
                }
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn sse2_is_always_available_and_comes_last() {
        assert_eq!(
            x86_64::available().last().map(|(name, _)| name),
            Some("sse2")
        );
    }
}
