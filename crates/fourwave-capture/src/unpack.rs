//! gzip and zstd, found by their first bytes.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::error::Problem;
use crate::frame::words;

pub(crate) type Input = Box<dyn Read + Send>;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
/// Blocks of packed bytes that are read at a time.
const BUFFER: usize = 128 << 10;
/// A capture packed in what is packed again is possible; more is a bomb.
const LAYERS: usize = 3;
/// Enough for every file's first bytes that say what it is.
const HEAD: usize = 512;

/// Counts what is taken from a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct Counted<R> {
    input: R,
    counter: Counter,
}

impl<R> Counted<R> {
    pub(crate) fn new(input: R) -> (Self, Counter) {
        let counter = Counter::default();
        (Self { input, counter: counter.clone() }, counter)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.counter.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// An input without its compression.
pub(crate) struct Unpacked {
    pub(crate) input: Input,
    /// Its first bytes, which `input` has too; as many as could be read.
    pub(crate) head: Vec<u8>,
    /// The compressions, outermost first.
    pub(crate) layers: Vec<&'static str>,
}

/// Looks at the first bytes, and unpacks what they say.
pub(crate) fn unpack(mut input: Input) -> Result<Unpacked, Problem> {
    let mut layers: Vec<&'static str> = Vec::new();
    loop {
        let (head, whole) = peek(input).map_err(|error| match layers.last().copied() {
            Some(layer) => Problem::Packed { layer, why: words(&error) },
            None => error.into(),
        })?;
        let packed = BufReader::with_capacity(BUFFER, whole);
        if layers.len() == LAYERS {
            return Ok(Unpacked { input: Box::new(packed), head, layers });
        }
        if head.starts_with(&GZIP) {
            layers.push("gzip");
            input = Box::new(MultiGzDecoder::new(packed));
        } else if head.starts_with(&ZSTD) {
            layers.push("zstd");
            input = Box::new(Zstd::new(packed));
        } else {
            return Ok(Unpacked { input: packed.into_inner(), head, layers });
        }
    }
}

/// The first bytes, at least four of them if there are so many: a pipe may give few at a time,
/// and more than needed is not waited for.
fn peek(mut input: Input) -> io::Result<(Vec<u8>, Input)> {
    let mut head = vec![0; HEAD];
    let mut len = 0;
    while len < 4 {
        match input.read(&mut head[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(len);
    let whole = Box::new(Cursor::new(head.clone()).chain(input));
    Ok((head, whole))
}

/// The frames of a zstd file, one after the other, those that are to be skipped skipped.
struct Zstd<R> {
    input: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Zstd<R> {
    fn new(input: R) -> Self {
        Self { input, decoder: FrameDecoder::new() }
    }

    /// The beginning of the next frame; false at the end of the input.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.input.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut self.input.by_ref().take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(broken(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.decoder.is_finished() {
                if !self.next_frame()? {
                    return Ok(0);
                }
                continue;
            }
            let some = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder.decode_blocks(&mut self.input, some).map_err(broken)?;
        }
    }
}

/// The end of the input is somewhere in what it comes from.
fn broken(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        let io = one.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return io::ErrorKind::UnexpectedEof.into();
        }
        cause = one.source();
    }
    io::Error::new(io::ErrorKind::InvalidData, error)
}
