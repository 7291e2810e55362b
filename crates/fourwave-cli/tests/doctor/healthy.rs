//! A host that is busy and well.

use std::process::Command;

use crate::common::{Bounded, Scratch, stdout};
use crate::host::{ADDRESS, Fault, Host, until};

const NGINX: &str =
    "user root; daemon off; master_process off; pid nginx.pid; error_log stderr crit;
events { worker_connections 512; }
http { access_log off; client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server { listen 10.9.0.2:8080 backlog=511; location / { return 200 hello; } } }
";

#[test]
fn nothing_is_found_on_a_host_that_works_hard() {
    let Some(host) = Host::new(&["nginx", "wrk", "curl"]) else { return };
    let scratch = Scratch::new("doctor-nginx");
    let directory = scratch.path().to_str().unwrap();
    std::fs::write(scratch.path().join("nginx.conf"), NGINX).unwrap();
    let mut nginx = host.command("nginx");
    nginx.args(["-p", directory, "-c", "nginx.conf"]);
    let nginx = Fault::spawn(nginx);
    let url = format!("http://{ADDRESS}:8080/");
    let answers = |command: &mut Command| command.bounded().status.success();
    until("nginx", || answers(host.command("curl").args(["-sf", &url])).then_some(()));
    let mut load = host.command("wrk");
    load.args(["-t", "1", "-c", "40", "-d", "60s", &url]);
    let _load = Fault::spawn(load);
    until("the load", || (host.examine(&[]).count("ESTABLISHED") >= 80).then_some(()));
    let found = host.examine(&["--sample", "2s"]);
    assert_eq!(found.kinds(), [""; 0], "{found:#?}");
    assert_eq!((found.status, &found.host["healthy"]), (0, &true.into()));
    let rows = found.host["listeners"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["program"] == "nginx"), "{rows:?}");
    let told = host.doctor(&[]);
    assert_eq!(told.status.code(), Some(0));
    assert!(stdout(&told).contains("healthy"), "{}", stdout(&told));
    drop(nginx);
}
