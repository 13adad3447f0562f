package oasisalloc;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** A folder of this machine that follows the manifest of a web server and its current policy; it reads only changes. */
final class Mirror {
    private static final System.Logger LOG = System.getLogger("oasisalloc");
    private static final String NAME = "manifest.json";
    private static final int SECONDS = 20; // that a server may take
    private static final int MAX_POLICY = Integer.MAX_VALUE - 16; // bytes

    private final URI address;
    private final Path folder;
    private String tag; // of the manifest that was read last; null to read it in any case

    Mirror(URI address) {
        boolean isWeb = "http".equalsIgnoreCase(address.getScheme()) || "https".equalsIgnoreCase(address.getScheme());
        if (!isWeb || address.getPath() == null || !address.getPath().endsWith("/" + NAME))
            throw new InputException("store: " + shown(address)
                    + "; expected an address of http or https that ends in /" + NAME);
        this.address = address;
        try {
            folder = Files.createTempDirectory("oasis-alloc-");
        } catch (IOException error) {
            throw new UncheckedIOException("there is no folder for a copy of the policies", error);
        }
    }

    /** The address without what may be secret in it. */
    static String shown(URI address) {
        return address.getScheme() + "://" + address.getHost() + (address.getPort() < 0 ? "" : ":" + address.getPort())
                + address.getPath();
    }

    /** The copy of the manifest. */
    Path path() {
        return folder.resolve(NAME);
    }

    /** Copies what has changed: the policy, then the manifest. */
    void update() throws SnapshotException {
        String before = tag;
        tag = null; // read again after a fault, whether or not it has changed
        try {
            HttpURLConnection answer = ask(address, before);
            if (answer.getResponseCode() == HttpURLConnection.HTTP_NOT_MODIFIED) {
                tag = before;
                return;
            }
            byte[] manifest = body(answer, Manifest.MAX_BYTES);
            copyPolicy(manifest);
            StoreFiles.write(path(), manifest);
            tag = answer.getHeaderField("ETag");
        } catch (IOException | RuntimeException error) {
            throw new SnapshotException("unreadable", shown(address) + " cannot be read: " + error.getMessage());
        }
    }

    private void copyPolicy(byte[] manifest) throws IOException, SnapshotException {
        Manifest.Version current;
        try {
            current = Manifest.current(manifest);
        } catch (SnapshotException error) {
            return; // the store refuses it, with the reason
        }
        if (current == null || Files.exists(folder.resolve(current.file()))) return;
        byte[] policy = body(ask(sibling(current.file()), null), MAX_POLICY);
        if (!Manifest.sha256(policy).equals(current.digest()))
            throw new SnapshotException("tampered", shown(address) + ": the policy of version " + current.version()
                    + " does not have its digest");
        StoreFiles.write(folder.resolve(current.file()), policy);
        clear(current.file());
    }

    /** The address of a file next to the manifest. */
    private URI sibling(String name) {
        String path = address.getRawPath(), query = address.getRawQuery();
        return URI.create(address.getScheme() + "://" + address.getRawAuthority()
                + path.substring(0, path.length() - NAME.length()) + name + (query == null ? "" : "?" + query));
    }

    private static HttpURLConnection ask(URI address, String tag) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) address.toURL().openConnection();
        connection.setConnectTimeout(SECONDS * 1000);
        connection.setReadTimeout(SECONDS * 1000);
        connection.setUseCaches(false);
        if (tag != null) connection.setRequestProperty("If-None-Match", tag);
        return connection;
    }

    private static byte[] body(HttpURLConnection answer, int most) throws IOException {
        if (answer.getResponseCode() != HttpURLConnection.HTTP_OK)
            throw new IOException("the server answers " + answer.getResponseCode());
        try (InputStream in = answer.getInputStream()) {
            byte[] body = in.readNBytes(most);
            if (in.read() >= 0) throw new IOException("more than " + most + " bytes");
            return body;
        } catch (OutOfMemoryError error) {
            throw new IOException("it needs more memory than there is");
        }
    }

    /** Removes the copies of policies but one. */
    private void clear(String but) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.policy")) {
            for (Path file : files) if (!file.getFileName().toString().equals(but)) Files.deleteIfExists(file);
        }
    }

    /** Removes the folder. */
    void close() {
        try {
            try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
                for (Path file : files) Files.deleteIfExists(file);
            }
            Files.deleteIfExists(folder);
        } catch (IOException error) {
            LOG.log(System.Logger.Level.WARNING, "copies of policies stay in " + folder, error);
        }
    }
}
