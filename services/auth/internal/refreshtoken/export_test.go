package refreshtoken

import "encoding/base64"

// Sign ends any body as Encode ends its own.
func (c *Codec) Sign(body string) string {
	return body + "." + base64.RawURLEncoding.EncodeToString(c.hash(body))
}
