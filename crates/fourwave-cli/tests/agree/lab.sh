# Two hosts and a router. OFFLOAD=no: no super-packets. LOSS: of 1000 packets each way.
set -eu
mount -t tmpfs run /run
mkdir -p /run/netns
ip netns add c
ip netns add s
ip link set lo up
ip link add mc type veth peer name eth0 netns c
ip link add ms type veth peer name eth0 netns s
ip addr add 10.50.1.1/24 dev mc
ip addr add 10.50.2.1/24 dev ms
for n in c s; do
    ip -n $n link set lo up
    ip -n $n link set eth0 up
    if [ "${OFFLOAD:-no}" = no ]; then
        ip -n $n link set eth0 gso_max_segs 1
    fi
done
ip link set mc up
ip link set ms up
ip -n c addr add 10.50.1.2/24 dev eth0
ip -n s addr add 10.50.2.2/24 dev eth0
ip -n c route add default via 10.50.1.1
ip -n s route add default via 10.50.2.1
echo 1 >/proc/sys/net/ipv4/ip_forward
C=10.50.1.2
S=10.50.2.2
nft add table ip lab
nft 'add chain ip lab forward { type filter hook forward priority 0; }'
if [ "${LOSS:-0}" != 0 ]; then
    nft add rule ip lab forward meta l4proto tcp numgen random mod 1000 '<' "$LOSS" counter drop
fi

c() { ip netns exec c "$@"; }
s() { ip netns exec s "$@"; }

TAPS=
TAPPED=
# tap NAME HOST [OPTION...]: captures TCP at a host's only interface into NAME.
tap() {
    local name=$1 host=$2
    shift 2
    ip netns exec "$host" tcpdump -Z root -i eth0 -B 65536 "$@" -w "$name" tcp 2>"$name.log" &
    TAPS="$TAPS $!"
    TAPPED="$TAPPED $name"
    until grep -q 'listening on' "$name.log"; do sleep 0.02; done
}

# Ends the captures when all has been written; they must be whole.
untap() {
    sleep "${SETTLE:-0.5}"
    kill -INT $TAPS
    wait $TAPS
    for name in $TAPPED; do
        grep -q '^0 packets dropped by kernel' "$name.log" || { cat "$name.log"; exit 1; }
    done
    TAPS=
    TAPPED=
}

# listening PORT: waits until something on the server's host does.
listening() {
    until s ss -Hltn "sport = :$1" | grep -q .; do sleep 0.02; done
}
