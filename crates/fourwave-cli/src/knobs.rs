//! `-o KNOB=VALUE`, `--config FILE` and `fourwave knobs`.

use std::path::Path;

use fourwave_core::Config;
use fourwave_core::config::{KnobError, Unit};
use fourwave_lens::suggest::did_you_mean;
use fourwave_linux::reason;

use crate::layout::hanging;
use crate::output::print;
use crate::terminal::Screen;

/// Applies one `name=value`.
pub(crate) fn set(config: &mut Config, setting: &str) -> Result<(), String> {
    let (name, value) = setting.split_once('=').ok_or_else(|| {
        format!("-o {setting}: it takes KNOB=VALUE (`fourwave knobs` lists them)")
    })?;
    apply(config, name.trim(), value)
}

/// Applies a TOML file of `name = value` lines.
pub(crate) fn read_file(config: &mut Config, path: &Path) -> Result<(), String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {shown}: {}", reason(&error)))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("{shown}, line {line}: {}", error.message())
    })?;
    for (name, value) in table {
        let value = match value {
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(on) => u8::from(on).to_string(),
            toml::Value::String(text) => text,
            other => format!("a value of type {}", other.type_str()),
        };
        apply(config, &name, &value).map_err(|line| format!("{shown}: {line}"))?;
    }
    Ok(())
}

fn apply(config: &mut Config, name: &str, value: &str) -> Result<(), String> {
    config.set(name, value).map_err(|error| match error {
        KnobError::Unknown => {
            match did_you_mean(name, Config::knobs().iter().map(|knob| knob.name)) {
                Some(question) => format!("there is no knob {name}: {question}"),
                None => format!("there is no knob {name}: `fourwave knobs` lists them"),
            }
        }
        KnobError::NotANumber(_) | KnobError::OutOfRange(_) | KnobError::NotAName(_) => {
            format!("{error}, not {value}")
        }
        _ => error.to_string(),
    })
}

/// Prints every knob, what it means below it. A reader that stops early is no error.
pub(crate) fn list(screen: &Screen) -> u8 {
    let longest = Config::knobs().iter().map(|knob| knob.name.len()).max().unwrap_or(0);
    let width = screen.prose();
    let defaults = Config::knobs().iter().map(|knob| knob.show(knob.default).len());
    let widest = defaults.max().unwrap_or(0).max("default".len());
    let row = |name: &str, default: &str, range: &str| {
        let row = format!("{name:<longest$}  {default:>widest$}  {range}");
        // Columns where there is room for them.
        if row.len() <= width { row + "\n" } else { hanging("", &row, width) }
    };
    let mut text = row("knob", "default", "range") + "    meaning\n\n";
    for knob in Config::knobs() {
        let range = match knob.unit {
            Unit::Name(names) => names.join("|"),
            unit => format!("{}..={}{}", knob.min, knob.max, unit.suffix()),
        };
        text += &row(knob.name, &knob.show(knob.default), &range);
        text += &hanging("    ", knob.about, width);
    }
    print(&screen.shown(text));
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_applied_or_refused_by_name_with_the_way_out() {
        let mut config = Config::default();
        set(&mut config, "tcp_fin_timeout=7").unwrap();
        assert_eq!(config.tcp_fin_timeout, 7);
        let refused = |setting: &str| set(&mut Config::default(), setting).unwrap_err();
        assert_eq!(
            refused("tcp_fin_timeot=7"),
            "there is no knob tcp_fin_timeot: did you mean tcp_fin_timeout?"
        );
        assert_eq!(
            refused("fin_timeout=7"),
            "there is no knob fin_timeout: did you mean tcp_fin_timeout?"
        );
        assert!(refused("zzz=1").contains("`fourwave knobs`"));
        assert_eq!(
            refused("tcp_fin_timeout=9999"),
            "tcp_fin_timeout takes a whole number from 0 to 3600 s, not 9999"
        );
        assert!(refused("tcp_fin_timeout").contains("KNOB=VALUE"));
    }

    #[test]
    fn a_file_sets_knobs_and_a_mistake_in_it_is_placed() {
        let path = std::env::temp_dir().join(format!("fourwave-knobs-{}.toml", std::process::id()));
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let mut config = Config::default();
            read_file(&mut config, &path).map(|()| config)
        };
        let config = read("# mine\ntcp_fin_timeout = 7\ntcp_rfc1337 = true\n").unwrap();
        assert_eq!((config.tcp_fin_timeout, config.tcp_rfc1337), (7, 1));
        assert!(read("tcp_fin_timeot = 7").unwrap_err().contains("did you mean"));
        assert!(read("tcp_fin_timeout = \"x\"").unwrap_err().contains("whole number"));
        assert!(read("tcp_fin_timeout = 1\n=").unwrap_err().contains("line 2"));
        std::fs::remove_file(&path).unwrap();
        assert!(read_file(&mut Config::default(), &path).unwrap_err().contains("cannot read"));
    }
}
