"""The class that tests derive from."""
import testtools

BaseTestCase = testtools.TestCase
