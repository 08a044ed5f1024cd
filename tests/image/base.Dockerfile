# A base for deploy/Dockerfile without a registry: the Debian packages of `base.tar`, and
# the toolchain and the crates that `build` mounts.
FROM scratch
ADD base.tar /
# As update-ca-certificates does without local certificates, which this machine may have.
RUN mkdir -p /etc/ssl/certs /usr/local/cargo && \
    cat /usr/share/ca-certificates/mozilla/*.crt >/etc/ssl/certs/ca-certificates.crt && \
    printf '[source.%s]\n%s\n' \
      crates-io 'replace-with = "vendor"' vendor 'directory = "/usr/local/vendor"' \
      >/usr/local/cargo/config.toml
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/rust/bin:/usr/bin:/bin
# Another compiler compiles everything again.
ARG RUSTC
LABEL rustc=$RUSTC
