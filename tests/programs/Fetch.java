import java.io.InputStream;
import java.net.URL;

/** GET a URL by HttpURLConnection; prints the body. */
public class Fetch {
    public static void main(String[] arguments) throws Exception {
        try (InputStream body = new URL(arguments[0]).openStream()) {
            body.transferTo(System.out);
        }
        System.out.flush();
    }
}
