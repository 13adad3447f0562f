package oasisalloc;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Whose signatures a store accepts (docs/publishing.md, "Signatures"), by Ed25519 of the JDK.
 *
 * @param keys public keys by their ids
 * @param required true if only signed versions are accepted; a wrong signature is refused in any case
 * @param name the publication that is accepted, null for any
 * @param remember a file of this host for the highest version seen, null to remember it in the process only
 */
public record Trust(Map<String, PublicKey> keys, boolean required, String name, Path remember) {
    private static final byte[] PREFIX = HexFormat.of().parseHex("302a300506032b6570032100"); // of an Ed25519 key
    private static final int RAW = 32; // bytes of a public key
    private static final long MAX_PEM = 1 << 16; // bytes
    private static final String EXPECTED = "; expected a PEM file of a public Ed25519 key, NAME.pub";

    public Trust {
        keys = Map.copyOf(keys);
        if (keys.isEmpty() && required) throw new InputException("trust: expected one public key or more");
    }

    /** Requires a signature by one of the public keys of these PEM files, as `oasis-alloc keys new` writes them. */
    public static Trust of(Path... pem) throws IOException {
        Map<String, PublicKey> keys = new LinkedHashMap<>();
        for (Path path : pem) {
            if (Files.size(path) > MAX_PEM)
                throw new InputException("trust: " + path + " has too many bytes" + EXPECTED);
            byte[] der = der(path, Files.readString(path, StandardCharsets.ISO_8859_1));
            try {
                PublicKey key = KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(der));
                keys.put(Manifest.sha256(Arrays.copyOfRange(der, PREFIX.length, der.length)).substring(0, 16), key);
            } catch (GeneralSecurityException error) {
                throw new InputException("trust: " + path + ": " + error.getMessage() + EXPECTED);
            }
        }
        return new Trust(keys, true, null, null);
    }

    private static byte[] der(Path path, String text) {
        String begin = "-----BEGIN PUBLIC KEY-----", end = "-----END PUBLIC KEY-----";
        int from = text.indexOf(begin), to = text.indexOf(end);
        byte[] der = {};
        try {
            if (from >= 0 && to > from)
                der = Base64.getDecoder().decode(text.substring(from + begin.length(), to).replaceAll("\\s", ""));
        } catch (IllegalArgumentException error) {
            der = new byte[0];
        }
        boolean isKey = der.length == PREFIX.length + RAW
                && Arrays.equals(der, 0, PREFIX.length, PREFIX, 0, PREFIX.length);
        if (!isKey) throw new InputException("trust: " + path + " does not have one" + EXPECTED);
        return der;
    }

    /** Accepts versions without a signature, too. */
    public Trust optional() {
        return new Trust(keys, false, name, remember);
    }

    public Trust withName(String other) {
        return new Trust(keys, required, other, remember);
    }

    public Trust withRemember(Path file) {
        return new Trust(keys, required, name, file);
    }

    /** Refuses a version that is not signed as it has to be. */
    void check(Manifest.Version version) throws SnapshotException {
        String what = "version " + version.version() + " of '" + version.name() + "'";
        if (name != null && !name.equals(version.name()))
            throw new SnapshotException("another name", what + " was published under another name; expected " + name);
        if (version.signature().isEmpty()) {
            if (required) throw new SnapshotException("unsigned", what + " has no signature");
            return;
        }
        PublicKey key = keys.get(version.key());
        if (key == null)
            throw new SnapshotException("unknown key", what + " is signed by the key " + version.key()
                    + "; trusted are " + keys.keySet());
        if (!verifies(key, version))
            throw new SnapshotException("bad signature", "the signature of " + what + " is not that of the key");
    }

    private static boolean verifies(PublicKey key, Manifest.Version version) {
        try {
            Signature signature = Signature.getInstance("Ed25519");
            signature.initVerify(key);
            signature.update(version.signed());
            return signature.verify(HexFormat.of().parseHex(version.signature()));
        } catch (SignatureException error) {
            return false; // its numbers are out of range
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error); // every JDK from 15 on has Ed25519
        }
    }

    /** The highest version that this host remembers, 0 if there is none. */
    long floor() throws SnapshotException {
        if (remember == null) return 0;
        try {
            String text = Files.readString(remember, StandardCharsets.US_ASCII).strip();
            if (text.matches("[0-9]{1,18}")) return Long.parseLong(text);
            throw new SnapshotException("unreadable", remember + " does not have the number of a version");
        } catch (NoSuchFileException error) {
            return 0;
        } catch (IOException error) {
            throw new SnapshotException("unreadable", remember + " cannot be read: " + error);
        }
    }

    /** Remembers a version for later processes. */
    void seen(long version) throws SnapshotException {
        if (remember == null) return;
        try {
            StoreFiles.write(remember, (version + "\n").getBytes(StandardCharsets.US_ASCII));
        } catch (IOException error) {
            throw new SnapshotException("unreadable", remember + " cannot be written: " + error);
        }
    }
}
