#!/bin/sh
# Makes the Secrets of the components `tls` and `auth`, and prints them with their namespace:
#
#   deploy/secrets.sh DIR CALLER... | kubectl apply -f -
#
# DIR gets an authority of our own (ca.key, ca.crt), the certificate of the service (server/),
# and for each CALLER a certificate, its key, the authority and a token (callers/CALLER/). What
# DIR already has stays as it is, so the same command with another CALLER adds that one, and
# without a folder callers/OLD, the token of OLD is refused. Certificates are valid for a year;
# remove one to have it made again. Keep DIR, and keep it secret: ca.key signs certificates
# that the service accepts.
#
# NAMESPACE is fetchd unless the environment has another one. Needs OpenSSL.
set -eu
umask 077

if [ $# -lt 2 ]; then
  echo "usage: $0 DIR CALLER..." >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
namespace=${NAMESPACE:-fetchd}
dir=$1
shift
mkdir -p "$dir/server" "$dir/callers"

# Makes a key and a certificate: sign KEY CERTIFICATE NAME EXTENSIONS OPTION... The options say
# who signs. The key gets its name last, so that an interrupted run leaves none without the other.
sign() {
  key=$1 crt=$2
  rm -f "$key"
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$key.new"
  printf '[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = %s\n' "$3" >"$dir/request.cnf"
  openssl req -new -key "$key.new" -config "$dir/request.cnf" -out "$dir/request.csr"
  printf '%b' "$4" >"$dir/extensions"
  shift 4
  # OpenSSL reports success on standard error too.
  report=$(openssl x509 -req -sha256 -in "$dir/request.csr" -extfile "$dir/extensions" \
    -out "$crt" "$@" 2>&1) || {
    echo "$report" >&2
    exit 1
  }
  mv "$key.new" "$key"
  rm "$dir/request.cnf" "$dir/request.csr" "$dir/extensions"
}

# Makes the certificate of the folder $1, for the names $2 and the use $3, unless it has one.
certificate() {
  if [ -s "$1/tls.crt" ] && [ -s "$1/tls.key" ]; then return; fi
  extensions="basicConstraints = critical, CA:FALSE\nsubjectAltName = $2\n"
  extensions="${extensions}keyUsage = critical, digitalSignature\nextendedKeyUsage = $3\n"
  sign "$1/tls.key" "$1/tls.crt" fetchd "$extensions" -days 365 \
    -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAserial "$dir/ca.srl" -CAcreateserial
}

# A new authority would shut out all callers, who have certificates of the old one.
if [ -s "$dir/server/tls.key" ] && ! { [ -s "$dir/ca.crt" ] && [ -s "$dir/ca.key" ]; }; then
  echo "$0: expected ca.crt and ca.key in $dir, which has certificates of that authority" >&2
  exit 1
fi
if ! [ -s "$dir/ca.crt" ] || ! [ -s "$dir/ca.key" ]; then
  extensions="basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n"
  extensions="${extensions}subjectKeyIdentifier = hash\n"
  sign "$dir/ca.key" "$dir/ca.crt" "fetchd CA" "$extensions" -days 3650 -signkey "$dir/ca.key.new"
fi

# The names by which callers in the cluster reach both Services, and one for a port-forward.
names=DNS:localhost
for service in fetchd fetchd-headless; do
  for domain in "" ".$namespace" ".$namespace.svc" ".$namespace.svc.cluster.local"; do
    names="$names, DNS:$service$domain"
  done
done
certificate "$dir/server" "$names" serverAuth

for caller; do
  case $caller in
    "" | *[!a-z0-9-]*)
      echo "$0: expected a name of a-z, 0-9 and -, got \"$caller\"" >&2
      exit 2
      ;;
  esac
  mkdir -p "$dir/callers/$caller"
  certificate "$dir/callers/$caller" "DNS:$caller" clientAuth
  cp "$dir/ca.crt" "$dir/callers/$caller/ca.crt"
  if ! [ -s "$dir/callers/$caller/token" ]; then
    openssl rand -hex 32 >"$dir/callers/$caller/token"
  fi
done

for folder in "$dir"/callers/*/; do
  printf '%s %s\n' "$(basename "$folder")" "$(cat "$folder/token")"
done >"$dir/tokens"

secret() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\n' "$1" "$namespace"
  printf 'type: %s\ndata:\n' "$2"
}
entry() {
  printf '  %s: %s\n' "$1" "$(openssl base64 -A -in "$2")"
}

# With its labels, because the next `kubectl apply` of a Namespace without them removes them.
sed "s/^  name: .*/  name: $namespace/" "$here/overlays/production/namespace.yaml"
secret fetchd-tls kubernetes.io/tls
entry tls.crt "$dir/server/tls.crt"
entry tls.key "$dir/server/tls.key"
entry ca.crt "$dir/ca.crt"
secret fetchd-auth Opaque
entry tokens "$dir/tokens"
