"""The benchmark: SMPLify, the authors' network, a peer and ours on the same pairs, each in a process of its own."""
