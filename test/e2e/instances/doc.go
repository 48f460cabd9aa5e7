// Package instances makes machines for tests: Linux namespaces with a disk,
// an address, Debian's own sshd and a user with sudo.
//
// A world is one set of namespaces around a whole test program. Everything
// that the program makes - bridge, mounts, processes, instances - lies in it
// and is gone when the program ends, also when it is killed: the program is
// process 1 of the world, and the kernel ends the rest with it. Nothing is
// seen from outside, so addresses need not be free there.
//
// A lab is the bridge, the client key and the folder that the instances of one
// world share. An instance has its own mounts (the machine's root folder with
// a layer of its own), processes, host name, network, /run, /tmp and boot id;
// its disk outlives a reboot.
package instances
