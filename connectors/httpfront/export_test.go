package httpfront

// Grace is for how long a connection must have outlived the acknowledgement of a message without an id.
const Grace = grace
