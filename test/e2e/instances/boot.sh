#!/bin/bash
# The first process of an instance: boot.sh NAME DISK ADDRESS GATEWAY.
# It is started in fresh namespaces and turns them into a machine.
set -euo pipefail
name=$1 disk=$2 address=$3 gateway=$4

mount --make-rprivate /
mkdir -p "$disk/system/var/vcap/store" "$disk/work" "$disk/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/system,workdir=$disk/work" "$disk/root"
cd "$disk/root"
mount --bind "$disk/store" var/vcap/store
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=755 dev dev
for node in null zero full random urandom tty; do
  touch "dev/$node"
  mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr

# The kernel's boot id is the machine's; each of our boots needs its own.
cat /proc/sys/kernel/random/uuid >run/boot_id
mount --bind run/boot_id proc/sys/kernel/random/boot_id

hostname "$name"
mkdir run/old
pivot_root . run/old
cd /

export name address gateway
exec /bin/bash -c '
  set -euo pipefail
  umount -l /run/old
  rmdir /run/old
  ip link set lo up
  until ip link show eth0 >/dev/null 2>&1; do sleep 0.01; done
  printf "%s\n" "addr add $address dev eth0" "link set eth0 up" "route add default via $gateway" | ip -batch -
  mkdir -p /run/sshd /run/lock
  unset name address gateway
  /usr/sbin/sshd -f /etc/ssh/lab_sshd_config -E /var/log/lab_sshd.log
  if [ -x /var/vcap/boot ]; then /var/vcap/boot </dev/null; fi
  touch /run/ready
  # Collects orphans, as every first process must.
  while :; do sleep 1000 & wait $! || true; done
'
