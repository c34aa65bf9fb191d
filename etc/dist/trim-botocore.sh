#!/bin/sh
# trim-botocore.sh DIRECTORY: remove botocore's descriptions of 400 services of Amazon's from a site-packages directory.
#
# Those of the services that issue credentials are kept; requests to S3 need none.
set -eu

find "$1/botocore/data" -mindepth 1 -maxdepth 1 -type d \
    ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -rf {} +
