//! Pictures of a STANDARD QR code (ISO/IEC 18004) of a text, which any phone reads: SVG, PNG, and
//! half blocks for a terminal.
//!
//! Unlike the protocol's matrix, ordinary readers can read them. The text is stored in byte mode, marked as
//! UTF-8 where that matters. The quiet zone is the standard's four modules.
//!
//! Called on a connection's coroutine. Stack: everything large is on the heap, all three pictures
//! pass a test with 48 KiB (and were seen to pass with 16). Time: 0.1 ms for a line of text, 3 ms for
//! the longest, nine tenths of it for choosing among the standard's eight masks.

use std::{fmt, io::Write};

use qrcodegen::{Mask, QrCode, QrCodeEcc, QrSegment, Version};

use super::reject::Reject;

/// Longest text in bytes: byte mode of version 40 at error correction level L.
pub const TEXT_BYTES_MAX: usize = 2953;

/// Designator of a UTF-8 text (Extended Channel Interpretation 26).
const ECI_UTF_8: u32 = 26;

/// Modules of white around the code, which the standard asks for.
const QUIET_ZONE: usize = 4;

/// A picture's side in pixels is this, rounded down to whole pixels per module: 453 to 592.
/// Large enough for a phone before a screen, and three pixels per module for the largest code.
const SIDE_PIXELS_MAX: usize = 600;

/// A standard code.
pub struct Code {
    modules: QrCode,
}

impl Code {
    /// The smallest code that holds `text`, with the most error correction this size has room for.
    pub fn new(text: &[u8]) -> Result<Self, Reject> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Reject::TooLong);
        }
        // Readers guess the encoding of bytes that do not name it: zbar reads
        // "é" as a Chinese sign. The designator takes 12 bits, which the very longest texts need.
        let bytes = QrSegment::make_bytes(text);
        let code = if !text.is_ascii() && std::str::from_utf8(text).is_ok() {
            smallest(&[QrSegment::make_eci(ECI_UTF_8), bytes.clone()])
        } else {
            None
        };
        let modules = code.or_else(|| smallest(&[bytes])).ok_or(Reject::TooLong)?;
        Ok(Self { modules })
    }

    /// Modules per side, quiet zone included: 29 to 185.
    fn side(&self) -> usize {
        self.modules.size() as usize + 2 * QUIET_ZONE
    }

    /// Pixels per module's side.
    fn scale(&self) -> usize {
        SIDE_PIXELS_MAX / self.side()
    }

    /// Whether the module is dark; those of the quiet zone and beyond are not.
    fn is_dark(&self, row: usize, column: usize) -> bool {
        let place = |index: usize| index as i32 - QUIET_ZONE as i32;
        self.modules.get_module(place(column), place(row))
    }

    /// Appends the code as an SVG document: a white square and one path of black runs.
    pub fn svg(&self, out: &mut Vec<u8>) {
        let side = self.side();
        let pixels = side * self.scale();
        append(
            out,
            format_args!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{pixels}\" height=\"{pixels}\" \
                 viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
                 <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path fill=\"#000\" d=\""
            ),
        );
        for row in 0..side {
            let mut column = 0;
            while column < side {
                let run = (column..side)
                    .take_while(|&column| self.is_dark(row, column))
                    .count();
                if run > 0 {
                    append(out, format_args!("M{column} {row}h{run}v1h-{run}z"));
                }
                column += run + 1;
            }
        }
        append(out, format_args!("\"/></svg>\n"));
    }

    /// Appends the code as a PNG image, one bit per pixel, 3 to 15 kB.
    pub fn png(&self, out: &mut Vec<u8>) {
        let written = self.write_png(out);
        debug_assert!(
            written.is_ok(),
            "the image fits its header and memory takes it: {written:?}"
        );
    }

    fn write_png(&self, out: &mut Vec<u8>) -> Result<(), png::EncodingError> {
        let (side, scale) = (self.side(), self.scale());
        let pixels = side * scale;
        let mut image = Vec::with_capacity(pixels.div_ceil(8) * pixels);
        let mut line = vec![0; pixels.div_ceil(8)];
        for row in 0..side {
            line.fill(0xff);
            for column in (0..side).filter(|&column| self.is_dark(row, column)) {
                for pixel in column * scale..(column + 1) * scale {
                    line[pixel / 8] &= !(0x80 >> (pixel % 8));
                }
            }
            for _ in 0..scale {
                image.extend_from_slice(&line);
            }
        }
        let mut encoder = png::Encoder::new(out, pixels as u32, pixels as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        // The run-length deflate keeps its state in a few words; the general one builds 64 KiB that
        // may pass over the stack. Every line is `scale` times there and the filter makes all but
        // the first of them zeros, so runs are what there is to compress.
        encoder.set_compression(png::Compression::Fastest);
        encoder.set_filter(png::Filter::Up);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&image)?;
        writer.finish()
    }

    /// Appends the code drawn with half blocks, two modules above each other per character.
    ///
    /// For terminals with a dark background: LIGHT modules are the blocks, so that the quiet zone
    /// shines and dark modules show the background. (On a light background colours are exchanged,
    /// which most phones read and many other readers do not.)
    pub fn text(&self, out: &mut Vec<u8>) {
        let side = self.side();
        for row in (0..side).step_by(2) {
            for column in 0..side {
                let block = match (self.is_dark(row, column), self.is_dark(row + 1, column)) {
                    (false, false) => "█",
                    (false, true) => "▀",
                    (true, false) => "▄",
                    (true, true) => " ",
                };
                out.extend_from_slice(block.as_bytes());
            }
            out.push(b'\n');
        }
    }
}

/// Choosing the mask that looks best is nine tenths of the work, 3 ms of a worker for the largest code.
/// Codes of longer texts take a fixed one, in 0.2 ms: a reader undoes any mask.
const MASK_CHOSEN_BYTES_MAX: usize = 300;

fn smallest(segments: &[QrSegment]) -> Option<QrCode> {
    let (min, max) = (Version::MIN, Version::MAX);
    let bits: usize = segments.iter().map(|segment| segment.data().len()).sum();
    // A checkerboard, which breaks up the runs of any text.
    let mask = (bits > 8 * MASK_CHOSEN_BYTES_MAX).then(|| Mask::new(0));
    QrCode::encode_segments_advanced(segments, QrCodeEcc::Low, min, max, mask, true).ok()
}

fn append(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "memory takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of modules, true = dark, quiet zone included.
    type Modules = Vec<Vec<bool>>;

    fn modules_of_code(code: &Code) -> Modules {
        (0..code.side())
            .map(|row| {
                (0..code.side())
                    .map(|column| code.is_dark(row, column))
                    .collect()
            })
            .collect()
    }

    /// Reads the picture pixel by pixel; all pixels of a module must agree.
    fn modules_of_png(bytes: &[u8]) -> Modules {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut image = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut image).unwrap();
        assert_eq!(
            (info.color_type, info.bit_depth),
            (png::ColorType::Grayscale, png::BitDepth::One)
        );
        assert_eq!(info.width, info.height);
        assert!((250..=1000).contains(&info.width), "{} pixels", info.width);
        let pixels = info.width as usize;
        let dark = |row: usize, column: usize| {
            image[row * info.line_size + column / 8] & (0x80 >> (column % 8)) == 0
        };
        // The finder's top edge: the first dark run is seven modules long.
        let row = (0..pixels)
            .find(|&row| (0..pixels).any(|column| dark(row, column)))
            .unwrap();
        let run = (0..pixels)
            .skip_while(|&c| !dark(row, c))
            .take_while(|&c| dark(row, c))
            .count();
        let scale = run / 7;
        assert_eq!(row, 4 * scale, "quiet zone");
        let modules: Modules = (0..pixels / scale)
            .map(|row| {
                (0..pixels / scale)
                    .map(|column| dark(row * scale, column * scale))
                    .collect()
            })
            .collect();
        for row in 0..pixels {
            for column in 0..pixels {
                assert_eq!(dark(row, column), modules[row / scale][column / scale]);
            }
        }
        modules
    }

    fn modules_of_svg(document: &str) -> Modules {
        let side: usize = document
            .split("viewBox=\"0 0 ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let mut modules = vec![vec![false; side]; side];
        let path = document.split("fill=\"#000\" d=\"").nth(1).unwrap();
        let (path, end) = path.split_once('"').unwrap();
        assert_eq!(end, "/></svg>\n");
        for run in path.split_inclusive('z') {
            let numbers: Vec<usize> = run
                .split(|c: char| !c.is_ascii_digit())
                .filter(|text| !text.is_empty())
                .map(|text| text.parse().unwrap())
                .collect();
            let [column, row, length, 1, back] = numbers[..] else {
                panic!("{run}")
            };
            assert_eq!(run, format!("M{column} {row}h{length}v1h-{back}z"));
            assert_eq!(length, back);
            modules[row][column..column + length].fill(true);
        }
        modules
    }

    fn modules_of_text(drawing: &str) -> Modules {
        let halves = |c| match c {
            '█' => (false, false),
            '▀' => (false, true),
            '▄' => (true, false),
            ' ' => (true, true),
            other => panic!("{other}"),
        };
        let mut modules = Modules::new();
        for line in drawing.strip_suffix('\n').unwrap().split('\n') {
            modules.push(line.chars().map(|c| halves(c).0).collect());
            modules.push(line.chars().map(|c| halves(c).1).collect());
        }
        // Sides are odd, so the last half line is beyond the code.
        assert!(modules.pop().unwrap().iter().all(|&dark| !dark));
        modules
    }

    fn pictures(text: &[u8]) -> (Vec<u8>, String, String) {
        let code = Code::new(text).unwrap();
        let (mut png, mut svg, mut drawing) = (Vec::new(), Vec::new(), Vec::new());
        code.png(&mut png);
        code.svg(&mut svg);
        code.text(&mut drawing);
        (
            png,
            String::from_utf8(svg).unwrap(),
            String::from_utf8(drawing).unwrap(),
        )
    }

    #[test]
    fn all_three_pictures_show_the_same_code() {
        let long = "Trident ".repeat(369);
        for text in ["", "CC Team is awesome!", "grüße, 世界", &long] {
            let expected = modules_of_code(&Code::new(text.as_bytes()).unwrap());
            let (png, svg, drawing) = pictures(text.as_bytes());
            assert!(modules_of_png(&png) == expected, "PNG of {text:?}");
            assert!(modules_of_svg(&svg) == expected, "SVG of {text:?}");
            assert!(modules_of_text(&drawing) == expected, "text of {text:?}");
        }
    }

    #[test]
    fn the_code_is_a_qr_code_in_a_quiet_zone() {
        let modules = modules_of_code(&Code::new(b"CC Team").unwrap());
        assert_eq!(modules.len(), 21 + 8);
        for (row, cells) in modules.iter().enumerate() {
            for (column, &dark) in cells.iter().enumerate() {
                let inside = (4..25).contains(&row) && (4..25).contains(&column);
                assert!(inside || !dark, "quiet zone at {row},{column}");
            }
        }
        let finder = [
            "#######", "#     #", "# ### #", "# ### #", "# ### #", "#     #", "#######",
        ];
        for (top, left) in [(4, 4), (4, 18), (18, 4)] {
            for (row, cells) in finder.iter().enumerate() {
                for (column, cell) in cells.chars().enumerate() {
                    assert_eq!(modules[top + row][left + column], cell == '#');
                }
            }
        }
    }

    #[test]
    fn texts_up_to_the_standards_capacity_have_a_code() {
        assert_eq!(Code::new(&[b'a'; TEXT_BYTES_MAX]).unwrap().side(), 177 + 8);
        assert_eq!(Code::new(&[0xff; TEXT_BYTES_MAX]).unwrap().side(), 177 + 8);
        assert_eq!(
            Code::new(&[b'a'; TEXT_BYTES_MAX + 1]).err(),
            Some(Reject::TooLong)
        );
    }

    /// Connections have coroutines with 64 KiB of stack. Run this in both profiles.
    #[test]
    fn all_pictures_fit_a_small_stack() {
        let run = || {
            for length in [0, 22, 1000, TEXT_BYTES_MAX] {
                let (png, svg, drawing) = pictures(&vec![b'7'; length]);
                assert!(!png.is_empty() && !svg.is_empty() && !drawing.is_empty());
            }
        };
        std::thread::Builder::new()
            .stack_size(48 << 10)
            .spawn(run)
            .unwrap()
            .join()
            .unwrap();
    }
}
