package replica

const maxMessage = 65000
