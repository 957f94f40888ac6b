//! Decompressing once more, bit by bit as RFC 1951 words it, with all of the data at hand.
//!
//! It knows nothing of the crate: other tests and the benches include this file too.

use std::collections::HashMap;

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Damaged,
    TooBig,
    TooManyFinalBlocks,
}

/// What bounds a message.
pub struct Bounds {
    /// No reference may go farther back.
    pub window_bytes: usize,
    pub message_bytes_max: usize,
    pub final_blocks_max: usize,
}

/// A compressed message (RFC 7692, section 7.2.2) that may refer to what was before it.
pub fn message(compressed: &[u8], history: &[u8], bounds: &Bounds) -> Result<Vec<u8>, Refused> {
    if compressed.is_empty() {
        return Ok(Vec::new());
    }
    let data = [compressed, &[0, 0, 0xff, 0xff]].concat();
    let mut reader = Reader {
        data: &data,
        bit: 0,
        out: history.to_vec(),
        history_len: history.len(),
        bounds,
    };
    let mut final_blocks = 0;
    loop {
        let begin = reader.bit;
        let is_final = reader.bits(1)? == 1;
        let is_stored = reader.block()?;
        let ended_at = reader.bit.div_ceil(8);
        if ended_at == data.len() {
            // The last block is an empty one whose header lies in the message and whose length is what was left out.
            let was_empty_stored = is_stored && begin.div_ceil(8) <= compressed.len();
            let length_at = (begin + 3).div_ceil(8);
            return match was_empty_stored && length_at == compressed.len() {
                true => Ok(reader.out.split_off(history.len())),
                false => Err(Refused::Damaged),
            };
        }
        if ended_at > compressed.len() {
            return Err(Refused::Damaged);
        }
        if is_final {
            final_blocks += 1;
            if final_blocks > bounds.final_blocks_max {
                return Err(Refused::TooManyFinalBlocks);
            }
            if ended_at == compressed.len() {
                return Ok(reader.out.split_off(history.len()));
            }
            reader.bit = ended_at * 8;
        }
    }
}

struct Reader<'a> {
    data: &'a [u8],
    bit: usize,
    out: Vec<u8>,
    history_len: usize,
    bounds: &'a Bounds,
}

/// From a code's length and bits to its symbol.
type Codes = HashMap<(usize, u32), usize>;

impl Reader<'_> {
    fn bits(&mut self, count: usize) -> Result<u32, Refused> {
        let mut number = 0;
        for place in 0..count {
            let byte = *self.data.get(self.bit / 8).ok_or(Refused::Damaged)?;
            number |= u32::from(byte >> (self.bit % 8) & 1) << place;
            self.bit += 1;
        }
        Ok(number)
    }

    /// One block behind its first bit; whether it is a stored one.
    fn block(&mut self) -> Result<bool, Refused> {
        match self.bits(2)? {
            0 => {
                self.bit = self.bit.div_ceil(8) * 8;
                let len = self.bits(16)?;
                if self.bits(16)? != !len & 0xffff {
                    return Err(Refused::Damaged);
                }
                for _ in 0..len {
                    let byte = self.bits(8)? as u8;
                    self.put(byte)?;
                }
                Ok(true)
            }
            1 => {
                let lengths: Vec<usize> = (0..288)
                    .map(|symbol| match symbol {
                        0..144 => 8,
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                self.compressed(&codes(&lengths)?, &codes(&[5; 32])?)?;
                Ok(false)
            }
            2 => {
                let (literals, distances) = self.tables()?;
                self.compressed(&literals, &distances)?;
                Ok(false)
            }
            _ => Err(Refused::Damaged),
        }
    }

    /// The codes of a block that brings its own (RFC 1951, section 3.2.7).
    fn tables(&mut self) -> Result<(Codes, Codes), Refused> {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let literals = self.bits(5)? as usize + 257;
        let distances = self.bits(5)? as usize + 1;
        let count = self.bits(4)? as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(Refused::Damaged);
        }
        let mut lengths = [0; 19];
        for &symbol in &ORDER[..count] {
            lengths[symbol] = self.bits(3)? as usize;
        }
        let of_lengths = codes(&lengths)?;
        if !is_complete(&lengths) {
            return Err(Refused::Damaged);
        }
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match self.symbol(&of_lengths)? {
                16 => (
                    *lengths.last().ok_or(Refused::Damaged)?,
                    3 + self.bits(2)? as usize,
                ),
                17 => (0, 3 + self.bits(3)? as usize),
                18 => (0, 11 + self.bits(7)? as usize),
                length => (length, 1),
            };
            lengths.extend(vec![length; times]);
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return Err(Refused::Damaged);
        }
        let of_distances = lengths.split_off(literals);
        for lengths in [&lengths, &of_distances] {
            // A code of one symbol, or of none, may leave out the rest.
            let longest = lengths.iter().max().copied().unwrap_or(0);
            if !is_complete(lengths) && longest > 1 {
                return Err(Refused::Damaged);
            }
        }
        Ok((codes(&lengths)?, codes(&of_distances)?))
    }

    fn compressed(&mut self, literals: &Codes, distances: &Codes) -> Result<(), Refused> {
        loop {
            match self.symbol(literals)? {
                literal @ 0..256 => self.put(literal as u8)?,
                256 => return Ok(()),
                symbol @ 257..=285 => {
                    let len = self.length(symbol)?;
                    let distance = self.distance(distances)?;
                    if distance > self.bounds.window_bytes || distance > self.out.len() {
                        return Err(Refused::Damaged);
                    }
                    for _ in 0..len {
                        self.put(self.out[self.out.len() - distance])?;
                    }
                }
                _ => return Err(Refused::Damaged),
            }
        }
    }

    /// RFC 1951, section 3.2.5: every four symbols take one more bit.
    fn length(&mut self, symbol: usize) -> Result<usize, Refused> {
        if symbol == 285 {
            return Ok(258);
        }
        let mut least = 3;
        for before in 257..symbol {
            least += 1 << length_bits(before);
        }
        Ok(least + self.bits(length_bits(symbol))? as usize)
    }

    fn distance(&mut self, codes: &Codes) -> Result<usize, Refused> {
        let bits = |symbol: usize| (symbol / 2).saturating_sub(1);
        let symbol = self.symbol(codes)?;
        if symbol >= 30 {
            return Err(Refused::Damaged);
        }
        let least = 1 + (0..symbol).map(|before| 1 << bits(before)).sum::<usize>();
        Ok(least + self.bits(bits(symbol))? as usize)
    }

    fn symbol(&mut self, codes: &Codes) -> Result<usize, Refused> {
        let mut code = 0;
        for len in 1..=15 {
            code = code << 1 | self.bits(1)?;
            if let Some(&symbol) = codes.get(&(len, code)) {
                return Ok(symbol);
            }
        }
        Err(Refused::Damaged)
    }

    fn put(&mut self, byte: u8) -> Result<(), Refused> {
        if self.out.len() - self.history_len == self.bounds.message_bytes_max {
            return Err(Refused::TooBig);
        }
        self.out.push(byte);
        Ok(())
    }
}

fn length_bits(symbol: usize) -> usize {
    ((symbol - 257) / 4).saturating_sub(1)
}

/// RFC 1951, section 3.2.2: shorter codes first, those of one length in the order of their symbols.
fn codes(lengths: &[usize]) -> Result<Codes, Refused> {
    let mut codes = Codes::new();
    let mut code = 0u32;
    for len in 1..=15 {
        code <<= 1;
        for (symbol, _) in lengths.iter().enumerate().filter(|(_, l)| **l == len) {
            if code >= 1 << len {
                return Err(Refused::Damaged);
            }
            codes.insert((len, code), symbol);
            code += 1;
        }
    }
    Ok(codes)
}

/// Whether every sequence of bits begins with a code.
fn is_complete(lengths: &[usize]) -> bool {
    let used = lengths.iter().filter(|len| **len > 0);
    used.map(|len| 1 << (15 - len)).sum::<usize>() == 1 << 15
}
