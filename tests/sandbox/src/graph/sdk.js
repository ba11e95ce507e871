/* Stand-in of Meta's JavaScript SDK: as much of it as Embedded Signup needs. */
(function () {
  "use strict";
  var base = new URL(document.currentScript.src).origin;
  var settings = null;

  function login(callback, options) {
    if (!settings) {
      console.error("FB.login() called before FB.init().");
      return;
    }
    var query = new URLSearchParams({
      app_id: settings.appId || "",
      config_id: (options && options.config_id) || "",
      response_type: (options && options.response_type) || "",
      origin: window.location.origin
    });
    var popup = window.open(base + "/dialog/signup?" + query, "fb_signup", "popup,width=600,height=720");
    var watch = null;

    var done = false;

    function finish(code) {
      if (done) {
        return;
      }
      done = true;
      window.removeEventListener("message", listen);
      window.clearInterval(watch);
      callback(
        code
          ? { authResponse: { code: code }, status: "connected" }
          : { authResponse: null, status: "unknown" }
      );
    }

    function listen(event) {
      if (event.origin === base && event.source === popup && event.data && event.data.sandbox_signup) {
        finish(event.data.sandbox_signup.code);
      }
    }

    if (!popup) {
      finish(null);
      return;
    }
    window.addEventListener("message", listen);
    /* Closed by the person, without a word; a last message may still be on its way. */
    watch = window.setInterval(function () {
      if (popup.closed) {
        window.clearInterval(watch);
        window.setTimeout(function () { finish(null); }, 200);
      }
    }, 300);
  }

  window.FB = {
    init: function (options) { settings = options || {}; },
    login: login,
    getLoginStatus: function (callback) { callback({ authResponse: null, status: "unknown" }); }
  };
  if (typeof window.fbAsyncInit === "function") {
    window.fbAsyncInit();
  }
})();
