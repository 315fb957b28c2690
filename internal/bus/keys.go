package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/sallyport/sallyport/internal/privatefile"
)

const (
	responseTime   = time.Minute // how long an answer to a decision may take
	maxConnections = 4096
)

// trust is the operator mode of one start of the server. The operator and the
// system account are new at each start and have no users, so nobody can sign or
// log in for them; the account and the roles' signing keys are kept, because
// JetStream's directory and the creds files hang on them.
type trust struct {
	operator *jwt.OperatorClaims
	account  string            // public key of the account SALLYPORT
	system   string            // public key of the system account
	jwts     map[string]string // account public key -> its signed claims
	owner    []byte            // creds of the owner, in memory only
}

// makeTrust reads or makes the keys below dir and writes missing creds files.
func makeTrust(dir, prefix string, maxStore int64) (*trust, error) {
	keyDir := filepath.Join(dir, "keys")
	if err := os.MkdirAll(keyDir, 0o700); err != nil {
		return nil, fmt.Errorf("make NATS key directory: %w", err)
	}
	account, err := loadKey(filepath.Join(keyDir, "account.seed"))
	if err != nil {
		return nil, err
	}
	accountID, err := account.PublicKey()
	if err != nil {
		return nil, err
	}
	claims := jwt.NewAccountClaims(accountID)
	claims.Name = "SALLYPORT"
	claims.Limits.DisallowBearer = true // a token without its key proves nothing
	claims.Limits.LeafNodeConn = 0
	claims.Limits.Imports, claims.Limits.Exports, claims.Limits.WildcardExports = 0, 0, false
	claims.Limits.Conn = maxConnections
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		DiskStorage: maxStore, MemoryStorage: 16 << 20, // consumers of `tail` live in memory
		Streams: 8, Consumer: 1024,
	}
	for role, g := range grants(prefix) {
		signer, err := loadKey(filepath.Join(keyDir, string(role)+".seed"))
		if err != nil {
			return nil, err
		}
		scope := jwt.NewUserScope()
		if scope.Key, err = signer.PublicKey(); err != nil {
			return nil, err
		}
		scope.Role, scope.Template = string(role), g.template()
		claims.SigningKeys.AddScopedSigner(scope)
		if err := writeCreds(filepath.Join(dir, string(role)+".creds"), role, accountID, signer); err != nil {
			return nil, err
		}
	}
	return sign(account, accountID, claims)
}

// sign makes the operator and the system account, and the owner: the one user
// who may make streams, connected in this process only.
func sign(account nkeys.KeyPair, accountID string, claims *jwt.AccountClaims) (*trust, error) {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		return nil, err
	}
	defer operator.Wipe()
	system, err := nkeys.CreateAccount()
	if err != nil {
		return nil, err
	}
	defer system.Wipe()
	operatorID, err := operator.PublicKey()
	if err != nil {
		return nil, err
	}
	t := &trust{account: accountID, operator: jwt.NewOperatorClaims(operatorID), jwts: map[string]string{}}
	if t.system, err = system.PublicKey(); err != nil {
		return nil, err
	}
	t.operator.Name, t.operator.SystemAccount = "sallyport", t.system
	if _, err := t.operator.Encode(operator); err != nil {
		return nil, fmt.Errorf("sign NATS operator: %w", err)
	}
	sys := jwt.NewAccountClaims(t.system)
	sys.Name = "SYS"
	for _, c := range []*jwt.AccountClaims{claims, sys} {
		if t.jwts[c.Subject], err = c.Encode(operator); err != nil {
			return nil, fmt.Errorf("sign NATS account %s: %w", c.Name, err)
		}
	}
	t.owner, err = newCreds("owner", accountID, account, func(c *jwt.UserClaims) {
		c.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeInProcess}
	})
	return t, err
}

// newCreds makes a key for a user, signs its claims, which set may complete, and
// gives both in the form of a creds file.
func newCreds(name, accountID string, signer nkeys.KeyPair, set func(*jwt.UserClaims)) ([]byte, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	subject, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	user := jwt.NewUserClaims(subject)
	user.Name = name
	set(user)
	if id, err := signer.PublicKey(); err != nil {
		return nil, err
	} else if id != accountID {
		user.IssuerAccount = accountID
	}
	token, err := user.Encode(signer)
	if err != nil {
		return nil, fmt.Errorf("sign NATS user %s: %w", user.Name, err)
	}
	seed, err := key.Seed() // wiped with the key
	if err != nil {
		return nil, err
	}
	return jwt.FormatUserConfig(token, seed)
}

// writeCreds leaves a creds file alone while it belongs to this account and
// signer, so that copies at recorders and approvers stay good, and replaces it
// otherwise.
func writeCreds(path string, role Role, accountID string, signer nkeys.KeyPair) error {
	id, err := signer.PublicKey()
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err == nil {
		token, err := jwt.ParseDecoratedJWT(old)
		if err == nil {
			if c, err := jwt.DecodeUserClaims(token); err == nil && c.Issuer == id && c.IssuerAccount == accountID {
				return os.Chmod(path, 0o600)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read NATS creds: %w", err)
	}
	creds, err := newCreds(string(role), accountID, signer, func(c *jwt.UserClaims) { c.SetScoped(true) })
	if err != nil {
		return err
	}
	return privatefile.Replace(path, creds, 0o600)
}

// loadKey reads an account key's seed, or makes one.
func loadKey(path string) (nkeys.KeyPair, error) {
	seed, err := privatefile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := nkeys.CreateAccount()
		if err != nil {
			return nil, err
		}
		seed, err := key.Seed() // the key's own bytes, not a copy: not to be cleared here
		if err != nil {
			return nil, err
		}
		return key, privatefile.Replace(path, seed, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("read NATS key (a new one means giving out the creds files anew): %w", err)
	}
	defer clear(seed)
	key, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("NATS key %s is damaged (%w): restore it, or delete it and give out the creds files anew", path, err)
	}
	return key, nil
}
