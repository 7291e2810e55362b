//! Counts: connections, bytes, retransmissions, FIN and RST are tshark's.

use crate::lab::{Lab, can, say};
use crate::told::{Agreed, agree};

/// A web server, a database, bulk data both ways, and every end that two programs can make; all
/// captured at both hosts.
const PROGRAMS: &str = r#"
mkdir www
head -c 300000 /dev/urandom >www/large
echo small >www/small
cat >nginx.conf <<EOF
daemon off; master_process off; user root; pid $PWD/nginx.pid; error_log stderr crit;
events { worker_connections 256; }
http {
    access_log off; keepalive_timeout 1s; client_body_temp_path $PWD/b; proxy_temp_path $PWD/p;
    fastcgi_temp_path $PWD/f; uwsgi_temp_path $PWD/u; scgi_temp_path $PWD/g;
    server { listen 80; root $PWD/www; }
}
EOF
tap client.pcap c
tap server.pcap s
s nginx -c $PWD/nginx.conf -p $PWD 2>nginx.log &
s redis-server --save '' --port 6379 --protected-mode no >redis.log &
s python3 ends.py serve >ends.log &
s iperf3 -s >iperf.log &
for port in 80 6379 7007 5201; do listening $port; done
c curl -sf -o /dev/null http://$S/small http://$S/large http://$S/small
c curl -sf -o /dev/null http://$S/nothing || true
# Leaves in the middle of the answer.
c curl -sf --limit-rate 1k -m 0.3 -o /dev/null http://$S/large || true
c redis-benchmark -h $S -q -n 400 -c 8 -t set,get,lpush -d 2000 >benchmark.log
c iperf3 -c $S -n 2M >bulk.log
c iperf3 -c $S -n 2M -R >>bulk.log
c iperf3 -c $S -n 1M --bidir >>bulk.log
c python3 ends.py visit $S 2
echo question | c nc -N -w 2 $S 7002 >nc.log
SETTLE=2.5 untap
"#;

fn programs(offload: &str, loss: &str) -> Option<[Agreed; 2]> {
    if !can(&["nginx", "redis-server", "redis-benchmark", "iperf3", "curl", "nc"]) {
        return None;
    }
    let lab = Lab::run(PROGRAMS, &[("OFFLOAD", offload), ("LOSS", loss)]);
    let agreed = ["client.pcap", "server.pcap"].map(|capture| {
        let agreed = agree(&lab.path(capture));
        say(&format!("offload={offload} loss={loss}/1000 {capture}: {agreed:?}"));
        agreed
    });
    for side in &agreed {
        // Every way of ending was there.
        assert!(side.connections > 40 && side.fins > 60 && side.rsts > 5, "{side:?}");
    }
    Some(agreed)
}

#[test]
fn programs_whose_segments_are_single() {
    programs("no", "0");
}

#[test]
fn programs_with_super_packets() {
    programs("yes", "0");
}

#[test]
fn programs_that_lose_one_segment_in_fifty() {
    if let Some(agreed) = programs("no", "20") {
        assert!(agreed.iter().any(|side| side.retransmitted > 20), "{agreed:?}");
    }
}

#[test]
fn super_packets_that_are_lost() {
    if let Some(agreed) = programs("yes", "30") {
        assert!(agreed.iter().any(|side| side.retransmitted > 3), "{agreed:?}");
    }
}
