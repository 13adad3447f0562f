# A Ray cluster of two nodes in two network namespaces, so that all they say to each other crosses sockets.
# Runs in a namespace of its own (unshare --map-root-user --net); "$@" is the driver, next to the head.
set -e
head=10.77.0.1 node=10.77.0.2
export RAY_AUTH_MODE=disabled RAY_DISABLE_IMPORT_WARNING=1 RAY_USAGE_STATS_ENABLED=0
unshare --net sleep 600 &
other=$! pids=""
trap 'set +e; kill $other 2>/dev/null; for pid in $pids; do kill -9 -- -$pid 2>/dev/null; done' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && break; sleep 0.1; done
ip link set lo up
ip link add near type veth peer name far netns $other
ip addr add $head/24 dev near
ip link set near up
nsenter --net --target $other ip link set lo up
nsenter --net --target $other ip addr add $node/24 dev far
nsenter --net --target $other ip link set far up
common="--num-cpus=1 --object-store-memory=80000000 --disable-usage-stats --block"
setsid ray start --head --node-ip-address=$head --port=6379 --include-dashboard=false --temp-dir="$TEMPORARY" $common >"$TEMPORARY/head.log" 2>&1 &
pids=$!
for _ in $(seq 120); do (: </dev/tcp/$head/6379) 2>/dev/null && break; sleep 0.5; done
setsid nsenter --net --target $other ray start --address=$head:6379 --node-ip-address=$node $common >"$TEMPORARY/node.log" 2>&1 &
pids="$pids $!"
echo $! >"$TEMPORARY/node.pid"
"$@"
