//! How wide columns are, so that no figure is ever cut: a wrong number is worse than none.
//!
//! Numbers get what their widest needs. Where there is less room, texts are shortened, and it
//! shows; where that is not enough, whole columns go.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::Text;
use ratatui::widgets::{Cell, Row, Table};

use super::style::{titled, width};

/// Columns between two columns of a table.
const GAP: usize = 1;

/// What a column asks for, in columns of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    /// With less it is left out.
    pub(super) least: usize,
    /// More is of no use.
    pub(super) most: usize,
    /// Where there is no room, those with the highest rank go first.
    pub(super) rank: u8,
}

/// The widths, `None` for a column that is left out. What is wanted beyond the least goes to the
/// lowest ranks first.
pub(super) fn fit(wants: &[Wants], room: usize, gap: usize) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..wants.len()).collect();
    order.sort_by_key(|at| wants[*at].rank);
    let needed = |kept: &[usize]| {
        kept.iter().map(|at| wants[*at].least).sum::<usize>() + gap * kept.len().saturating_sub(1)
    };
    while needed(&order) > room {
        order.pop();
    }
    let mut spare = room - needed(&order);
    let mut widths = vec![None; wants.len()];
    for at in order {
        let Wants { least, most, .. } = wants[at];
        let more = most.saturating_sub(least).min(spare);
        spare -= more;
        widths[at] = Some(least + more);
    }
    widths
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Whole or not at all; as wide as this at least where there is room, so that columns do not
    /// jump at each sample.
    Numbers(usize),
    /// Shortened where it must be, to so many columns at least.
    Names(usize),
    /// The same, the port whole.
    Addresses(usize),
}

/// A column of a table.
pub(super) struct Column {
    head: &'static str,
    holds: Holds,
    rank: u8,
    cells: Vec<(String, Style)>,
}

impl Column {
    pub(super) fn new(head: &'static str, holds: Holds, rank: u8) -> Self {
        Self { head, holds, rank, cells: Vec::new() }
    }

    /// The next row's cell.
    pub(super) fn put(&mut self, text: impl Into<String>, style: Style) {
        self.cells.push((text.into(), style));
    }

    fn wants(&self) -> Wants {
        let cells = self.cells.iter().map(|(text, _)| width(text));
        let widest = cells.chain([width(self.head)]).max().unwrap_or(0);
        let (least, most) = match self.holds {
            Holds::Numbers(least) => (widest, widest.max(least)),
            Holds::Names(least) | Holds::Addresses(least) => (widest.min(least), widest),
        };
        Wants { least, most, rank: self.rank }
    }

    fn cell(&self, row: usize, room: usize) -> Cell<'static> {
        let Some((text, style)) = self.cells.get(row) else { return Cell::default() };
        let text = match self.holds {
            Holds::Numbers(_) => text.clone(),
            Holds::Names(_) => shortened(text, room),
            Holds::Addresses(_) => address(text, room),
        };
        self.aligned(text).style(*style)
    }

    fn aligned(&self, text: String) -> Cell<'static> {
        let side = match self.holds {
            Holds::Numbers(_) => Alignment::Right,
            Holds::Names(_) | Holds::Addresses(_) => Alignment::Left,
        };
        Cell::new(Text::from(text).alignment(side))
    }
}

/// Draws the columns under the first of the titles that fits. The first column is there, or
/// nothing; it takes the room that none wants.
pub(super) fn table(frame: &mut Frame<'_>, titles: &[String], columns: &[Column], area: Rect) {
    let block = titled(titles, area.width);
    let wants: Vec<Wants> = columns.iter().map(Column::wants).collect();
    let mut widths = fit(&wants, area.width.into(), GAP);
    if widths.first().is_none_or(Option::is_none) {
        return frame.render_widget(block, area);
    }
    let used: usize = widths.iter().flatten().map(|width| width + GAP).sum();
    widths[0] = widths[0].map(|width| width + (usize::from(area.width) + GAP).saturating_sub(used));
    let kept = || columns.iter().zip(&widths).filter_map(|(one, width)| Some((one, (*width)?)));
    let rows = columns[0].cells.len().min(area.height.into());
    let rows = (0..rows).map(|row| Row::new(kept().map(|(one, width)| one.cell(row, width))));
    let heads = kept().map(|(one, width)| one.aligned(shortened(one.head, width)));
    let widths = kept().map(|(_, width)| Constraint::Length(width as u16));
    let table = Table::new(rows, widths).column_spacing(GAP as u16);
    frame.render_widget(table.header(Row::new(heads).dim()).block(block), area);
}

/// As much of a name as fits, with a sign that there is more.
pub(super) fn shortened(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut short = beginning(text, room.saturating_sub(1)).to_owned();
    if room > 0 {
        short.push('…');
    }
    short
}

/// As much of an address as fits, in whole groups, and all of its port.
fn address(text: &str, room: usize) -> String {
    let Some((_, port)) = text.rsplit_once(':').filter(|_| width(text) > room) else {
        return text.to_owned();
    };
    let Some(left) = room.checked_sub(port.len() + 2) else { return "…".repeat(room.min(1)) };
    let start = beginning(text, left);
    let whole = start.rfind(['.', ':']).map_or("", |end| &start[..=end]);
    format!("{whole}…:{port}")
}

/// The first characters that fit.
fn beginning(text: &str, room: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let fits = ends.take_while(|end| width(&text[..*end]) <= room);
    &text[..fits.last().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wants(least: usize, most: usize, rank: u8) -> Wants {
        Wants { least, most, rank }
    }

    #[test]
    fn texts_shrink_first_and_then_columns_go_by_rank() {
        let all = [wants(4, 9, 0), wants(5, 5, 2), wants(3, 6, 1)];
        for (room, widths) in [
            (99, [Some(9), Some(5), Some(6)]),
            (19, [Some(9), Some(5), Some(3)]),
            (14, [Some(4), Some(5), Some(3)]),
            (13, [Some(9), None, Some(3)]),
            (8, [Some(4), None, Some(3)]),
            (7, [Some(7), None, None]),
            (3, [None, None, None]),
        ] {
            assert_eq!(fit(&all, room, 1), widths, "{room}");
        }
        assert_eq!(fit(&[], 0, 1), []);
    }

    #[test]
    fn what_is_shortened_shows_it_and_a_port_stays_whole() {
        assert_eq!(shortened("postgres", 8), "postgres");
        assert_eq!(shortened("postgres", 5), "post…");
        assert_eq!(shortened("数据库服务", 5), "数据…");
        assert_eq!((shortened("postgres", 1), shortened("postgres", 0)), ("…".into(), "".into()));
        assert_eq!(address("10.9.0.2:5432", 13), "10.9.0.2:5432");
        assert_eq!(address("10.9.0.2:5432", 12), "10.9.…:5432");
        assert_eq!(address("192.168.100.200:65535", 15), "192.168.…:65535");
        assert_eq!(address("[2001:db8::1]:443", 14), "[2001:…:443");
        assert_eq!(address("10.9.0.2:5432", 6), "…:5432");
        assert_eq!((address("10.9.0.2:5432", 5), address("1.2.3.4:5", 0)), ("…".into(), "".into()));
    }

    proptest! {
        #[test]
        fn columns_never_take_more_than_there_is(
            all in proptest::collection::vec((0..40_usize, 0..20_usize, 0..9_u8), 0..9),
            room in 0..200_usize,
        ) {
            let all: Vec<Wants> = all
                .into_iter()
                .map(|(least, more, rank)| wants(least, least + more, rank))
                .collect();
            let widths = fit(&all, room, 1);
            let kept = widths.iter().flatten().count();
            prop_assert!(
                widths.iter().flatten().sum::<usize>() + kept.saturating_sub(1) <= room
            );
            for (width, one) in widths.iter().zip(&all) {
                prop_assert!(width.is_none_or(|width| (one.least..=one.most).contains(&width)));
            }
        }

        #[test]
        fn nothing_is_wider_than_its_room(text in "[a-z0-9.:数]{0,30}", room in 0..40_usize) {
            prop_assert!(width(&shortened(&text, room)) <= room);
            prop_assert!(width(&address(&text, room)) <= room || !text.contains(':'));
        }
    }
}
