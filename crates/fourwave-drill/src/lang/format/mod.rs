//! Tree → text. What is written reads back as the same tree.

mod packet;

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::ast::{
    Call, Command, Event, EventKind, Expr, ExprKind, Field, OptionLine, Script, Time,
};
use crate::lex::script::is_plain_value;
use crate::lex::text::write_quoted;

impl Display for Script {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { options, init, events, cleanup } = self;
        for option in options {
            writeln!(f, "{option}")?;
        }
        if let Some(command) = init {
            writeln!(f, "{command}")?;
        }
        for event in events {
            writeln!(f, "{event}")?;
        }
        match cleanup {
            Some(command) => writeln!(f, "{command}"),
            None => Ok(()),
        }
    }
}

impl Display for OptionLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, value, span: _ } = self;
        match value {
            None => write!(f, "--{name}"),
            Some(value) if is_plain_value(value) => write!(f, "--{name}={value}"),
            Some(value) => write!(f, "--{name}=\"{value}\""),
        }
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { time, kind, span: _ } = self;
        write!(f, "{time}")?;
        match kind {
            EventKind::Call(call) => match call.until {
                Some(until) => write!(f, "...{} {call}", Seconds(until)),
                None => write!(f, " {call}"),
            },
            EventKind::Packet(packet) => write!(f, " {packet}"),
            EventKind::Command(command) => write!(f, " {command}"),
            EventKind::Code(code) => write!(f, " %{{ {} }}%", code.text),
        }
    }
}

/// Decimal seconds without zeros at the end.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_secs())?;
        let nanos = format!("{:09}", self.0.subsec_nanos());
        match nanos.trim_end_matches('0') {
            "" => Ok(()),
            digits => write!(f, ".{digits}"),
        }
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::At(time) => write!(f, "{}", Seconds(time)),
            Self::After(time) => write!(f, "+{}", Seconds(time)),
            Self::Any => f.write_str("*"),
            Self::Between(from, to) => write!(f, "{}~{}", Seconds(from), Seconds(to)),
            Self::AfterBetween(from, to) => write!(f, "+{}~+{}", Seconds(from), Seconds(to)),
        }
    }
}

/// The call and what it returns; when it returns stands with the event's time.
impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { until: _, name, name_span: _, args, result, errno, note } = self;
        write!(f, "{name}({}) = ", Commas(args))?;
        match result {
            None => f.write_str("...")?,
            Some(expr) => write_operand(f, expr, 0, RESULT)?,
        }
        if let Some(errno) = errno {
            write!(f, " {errno}")?;
        }
        match note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

struct Commas<'a, T>(&'a [T]);

impl<T: Display> Display for Commas<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}

/// In a call's result, where a sum would run into the next event's time and an applied name into
/// the note, these need parentheses.
const RESULT: bool = true;
const INSIDE: bool = false;

fn binding(op: &str) -> u8 {
    match op {
        "=" => 0,
        "|" => 1,
        "^" => 2,
        "&" => 3,
        "+" | "-" => 4,
        _ => 5,
    }
}

/// Writes an operand of an operator that binds with `least`, with parentheses if it needs them.
fn write_operand(f: &mut Formatter<'_>, expr: &Expr, least: u8, result: bool) -> fmt::Result {
    let bare = match &expr.kind {
        ExprKind::Binary(op, ..) => binding(op) > least && !(result && binding(op) > 3),
        ExprKind::Apply(..) => !result,
        _ => true,
    };
    if !bare {
        return write!(f, "({expr})");
    }
    write_expr(f, expr, result)
}

fn write_expr(f: &mut Formatter<'_>, expr: &Expr, result: bool) -> fmt::Result {
    match &expr.kind {
        ExprKind::Ellipsis => f.write_str("..."),
        ExprKind::Int(value) => write!(f, "{value}"),
        ExprKind::Str(bytes) => write_quoted(f, bytes),
        ExprKind::StrPrefix(bytes) => {
            write_quoted(f, bytes)?;
            f.write_str("...")
        }
        ExprKind::Name(name) => f.write_str(name),
        ExprKind::Binary("=", left, right) => write!(f, "{left}={right}"),
        ExprKind::Binary(op, left, right) => {
            let own = binding(op);
            write_operand(f, left, own - 1, result)?;
            let space = if *op == "|" { "" } else { " " };
            write!(f, "{space}{op}{space}")?;
            write_operand(f, right, own, result)
        }
        ExprKind::Not(inner) => {
            f.write_str("~")?;
            write_operand(f, inner, u8::MAX, result)
        }
        ExprKind::Apply(name, args) => write!(f, "{name}({})", Commas(args)),
        ExprKind::List(items) => write!(f, "[{}]", Commas(items)),
        ExprKind::Struct(fields) => write!(f, "{{{}}}", Commas(fields)),
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_expr(f, self, INSIDE)
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, count, value } = self;
        match (name, count) {
            (Some(name), Some(count)) => write!(f, "{name}({count})={value}"),
            (Some(name), None) => write!(f, "{name}={value}"),
            (None, _) => write!(f, "{value}"),
        }
    }
}
