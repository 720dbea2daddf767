package storetest

// sharedCluster names the environment variable with the directory of a cluster that
// several test processes share.
const sharedCluster = "STORETEST_CLUSTER"

// Share starts a cluster for a program that runs many test processes. A process with
// the returned environment variable uses it instead of starting one of its own.
// The cluster stops when stop is called or the program ends.
func Share() (environment string, stop func(), err error) {
	c, err := shared()
	if err != nil {
		return "", nil, err
	}
	return sharedCluster + "=" + c.dir, c.stop, nil
}
