// Package launch starts an agent behind the gateway: what `sallyport run` and
// `sallyport env` do. Environment says which variables make ordinary AWS
// clients go through the gateway and trust its CA, and which must go because they
// would lead around it; WriteFiles writes the files that they name; Helper
// is the loopback proxy that adds a fresh token to every CONNECT, since an
// environment is frozen at its start and tokens expire; Run starts the command.
//
// The environment is convenience, not a wall: an agent that unsets a variable
// goes direct, and then has no AWS credentials. Only a closed network makes the
// gateway the sole way out.
package launch

// placeholderSecret satisfies SDKs, which sign nothing without a secret key. The
// gateway does not look at client signatures.
const placeholderSecret = "sallyport-placeholder-not-a-secret"

// DefaultTarget is the placeholder key id that names no target, so that the
// gateway's default one is used.
const DefaultTarget = "sallyport"
