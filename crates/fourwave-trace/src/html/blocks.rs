//! Details of connections in packed blocks, unpacked by the browser on demand.

use std::io::{self, Write};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderStringWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

/// Connections in a block.
const CONNECTIONS: usize = 64;
/// A block of this many bytes takes no further connection.
const BYTES: usize = 1 << 20;

/// The block in the making: a JSON object of details by connection number.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    json: Vec<u8>,
    connections: usize,
    number: u32,
}

impl Blocks {
    /// The number of the block that the next connection goes to.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn add(
        &mut self,
        conn: u64,
        detail: &impl Serialize,
        out: &mut impl Write,
    ) -> io::Result<()> {
        self.json.push(if self.json.is_empty() { b'{' } else { b',' });
        write!(self.json, "\"{conn}\":")?;
        serde_json::to_writer(&mut self.json, detail)?;
        self.connections += 1;
        if self.connections == CONNECTIONS || self.json.len() >= BYTES {
            self.finish(out)?;
        }
        Ok(())
    }

    /// Writes the block, if there is one.
    pub(super) fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.json.is_empty() {
            return Ok(());
        }
        self.json.push(b'}');
        let packed = pack(&self.json)?;
        writeln!(out, "<script type=\"text/plain\" id=\"b{}\">{packed}</script>", self.number)?;
        self.json.clear();
        self.connections = 0;
        self.number += 1;
        Ok(())
    }
}

/// `json` compressed, as text that may stand anywhere in HTML.
pub(super) fn pack(json: &[u8]) -> io::Result<String> {
    let text = EncoderStringWriter::new(&STANDARD);
    let mut encoder = GzEncoder::new(text, Compression::default());
    encoder.write_all(json)?;
    Ok(encoder.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use base64::Engine;
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn blocks_hold_64_connections_and_are_numbered() {
        let mut blocks = Blocks::default();
        let mut out = Vec::new();
        for conn in 1..=65 {
            assert_eq!(blocks.number(), u32::from(conn == 65));
            blocks.add(conn, &"</script>", &mut out).expect("a Vec takes it");
        }
        blocks.finish(&mut out).expect("a Vec takes it");
        let page = String::from_utf8(out).expect("base64");
        assert_eq!(page.matches("</script>").count(), 2);
        let last = page.lines().last().expect("two lines");
        let packed = last.strip_prefix("<script type=\"text/plain\" id=\"b1\">").expect("block 1");
        let packed = packed.strip_suffix("</script>").expect("its end");
        let mut json = String::new();
        let bytes = STANDARD.decode(packed).expect("base64");
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut json).expect("gzip");
        assert_eq!(json, r#"{"65":"</script>"}"#);
    }
}
