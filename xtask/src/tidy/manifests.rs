//! Which crate may depend on which: the table of ARCHITECTURE.md, held against every Cargo.toml.

use super::Finding;

/// Each crate and the crates of ours it is built on; what those are built on comes with them.
const TABLE: [(&str, &[&str]); 20] = [
    ("fourwave-wire", &[]),
    ("fourwave-core", &["fourwave-wire"]),
    ("fourwave-net", &["fourwave-wire", "fourwave-core"]),
    ("fourwave-linux", &["fourwave-wire"]),
    ("fourwave-device", &["fourwave-linux"]),
    ("fourwave-fault", &["fourwave-device"]),
    ("fourwave-lens", &["fourwave-wire", "fourwave-core"]),
    ("fourwave", &["fourwave-core", "fourwave-device"]),
    ("fourwave-gateway", &["fourwave", "fourwave-capture", "fourwave-fault", "fourwave-lens"]),
    ("fourwave-capture", &["fourwave-device"]),
    ("fourwave-trace", &["fourwave-capture", "fourwave-core", "fourwave-lens"]),
    ("fourwave-doctor", &["fourwave-core", "fourwave-lens", "fourwave-linux"]),
    ("fourwave-drill", &["fourwave-capture", "fourwave-net", "fourwave-device", "fourwave-lens"]),
    ("fourwave-scenario", &["fourwave-net", "fourwave-lens"]),
    (
        "fourwave-cli",
        &[
            "fourwave",
            "fourwave-lens",
            "fourwave-gateway",
            "fourwave-drill",
            "fourwave-scenario",
            "fourwave-trace",
            "fourwave-doctor",
        ],
    ),
    ("fourwave-model", &["fourwave-net", "fourwave-lens"]),
    ("fourwave-sim", &["fourwave-net", "fourwave-fault", "fourwave-lens"]),
    ("fourwave-path", &["fourwave", "fourwave-fault"]),
    ("fourwave-testkit", &[]),
    ("xtask", &[]),
];

/// Checks one manifest. Dev-dependencies are free: a test may use what its crate may not.
pub(super) fn check(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let mut report = |what: String, item: &str| {
        let line = text
            .lines()
            .position(|line| line.trim_start().starts_with(item))
            .map_or(1, |at| at + 1);
        findings.push(Finding::new("crate-edges", path, line, what).about(item));
    };
    let manifest: toml::Table = match toml::from_str(text) {
        Ok(table) => table,
        Err(e) => return report(format!("cannot be read: {}", e.message()), ""),
    };
    let Some(name) = manifest.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str())
    else {
        return;
    };
    let listed = TABLE.iter().any(|(row, _)| *row == name);
    if !listed && path.starts_with("crates/") {
        report(
            format!("`{name}` is not in the table of crates: add its row to {}", file!()),
            "name",
        );
    }
    let allowed = reach(name);
    for dependency in dependencies(&manifest) {
        let ours = TABLE.iter().any(|(row, _)| *row == dependency);
        if listed && ours && !allowed.contains(&dependency.as_str()) {
            report(format!("`{name}` may not depend on `{dependency}`"), &dependency);
        }
    }
}

/// Everything below `name` in the table.
fn reach(name: &str) -> Vec<&'static str> {
    let mut all: Vec<&str> = Vec::new();
    let mut next: Vec<&str> =
        TABLE.iter().filter(|(row, _)| *row == name).flat_map(|(_, on)| *on).copied().collect();
    while let Some(one) = next.pop() {
        if !all.contains(&one) {
            all.push(one);
            next.extend(TABLE.iter().filter(|(row, _)| *row == one).flat_map(|(_, on)| *on));
        }
    }
    all
}

/// The crates a manifest's code is built on, by package name, those of one target included.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(|t| t.as_table());
    let per_target = targets.into_iter().flat_map(|t| t.values()).filter_map(|t| t.as_table());
    std::iter::once(manifest)
        .chain(per_target)
        .flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)))
        .flatten()
        .filter_map(|dependencies| dependencies.as_table())
        .flatten()
        .map(|(key, value)| value.get("package").and_then(|p| p.as_str()).unwrap_or(key).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(name: &str, rest: &str) -> Vec<String> {
        let mut findings = Vec::new();
        let text = format!("[package]\nname = \"{name}\"\n{rest}");
        check(&format!("crates/{name}/Cargo.toml"), &text, &mut findings);
        findings.into_iter().map(|f| f.item).collect()
    }

    #[test]
    fn dependencies_go_down_the_table_only() {
        let on = |name: &str| format!("[dependencies]\n{name} = {{ workspace = true }}\n");
        assert!(
            edges("fourwave-gateway", &on("fourwave-wire")).is_empty(),
            "below what it may use"
        );
        assert_eq!(edges("fourwave-core", &on("fourwave-lens")), ["fourwave-lens"]);
        assert_eq!(edges("fourwave-device", &on("fourwave-core")), ["fourwave-core"]);
        assert!(edges("fourwave-core", &on("bytes")).is_empty());
    }

    #[test]
    fn renamed_and_target_dependencies_count_and_dev_ones_do_not() {
        assert_eq!(
            edges(
                "fourwave-wire",
                "[target.'cfg(unix)'.dependencies]\nx = { package = \"fourwave-core\" }"
            ),
            ["fourwave-core"]
        );
        assert!(edges("fourwave-wire", "[dev-dependencies]\nfourwave-core = \"1\"").is_empty());
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        assert_eq!(edges("fourwave-quic", ""), ["name"]);
    }
}
