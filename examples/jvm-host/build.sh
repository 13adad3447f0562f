#!/bin/sh
# Compiles the library with javac and packs target/oasis-alloc.jar; with "test", the tests as well.
#
#     sh build.sh [test]
#
# Needs a JDK 17 or later, and nothing else.
set -eu
cd "$(dirname "$0")"
rm -rf target/classes target/test-classes
mkdir -p target/classes
find src/main/java -name '*.java' > target/sources
javac --release 17 -Xlint:all -Werror -d target/classes @target/sources
jar --create --file target/oasis-alloc.jar -C target/classes .
if [ "${1:-}" = test ]; then
    find src/test/java -name '*.java' > target/test-sources
    mkdir -p target/test-classes
    javac --release 17 -Xlint:all -Werror -cp target/classes -d target/test-classes @target/test-sources
fi
echo "target/oasis-alloc.jar"
